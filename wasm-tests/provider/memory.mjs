// Where the provider keeps what it gives out: in memory, so that a test can take it away.
const kept = new Map();

// Models whose entries belong to a grant and go with it.
const PART_OF_GRANT = ['AccessToken', 'AuthorizationCode', 'RefreshToken'];

export class Memory {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, seconds) {
    kept.set(this.key(id), { model: this.model, payload, until: seconds ? Date.now() + seconds * 1000 : Infinity });
  }

  async find(id) {
    const found = kept.get(this.key(id));
    if (found && found.until > Date.now()) return found.payload;
    kept.delete(this.key(id));
    return undefined;
  }

  async findByUid(uid) {
    return [...kept.values()].find(({ model, payload }) => model === this.model && payload.uid === uid)?.payload;
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    const found = await this.find(id);
    if (found) found.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    kept.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, { model, payload }] of kept)
      if (PART_OF_GRANT.includes(model) && payload.grantId === grantId) kept.delete(key);
  }
}

// Nobody is signed in any more, and nothing given out is worth anything.
export const forget = () => kept.clear();

// Every grant with its tokens; who is signed in stays so.
export function revokeGrants() {
  for (const [key, { model }] of kept) if (model === 'Grant' || PART_OF_GRANT.includes(model)) kept.delete(key);
}
