"""Reads the OCI image layout in a folder as a registry and Envoy's control planes would, and prints what it finds.

It shares no code with what writes the image. Sizes, digests and the compressed layer are checked on the way.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile

folder = pathlib.Path(sys.argv[1])
named = set()


def blob(descriptor):
    algorithm, digest = descriptor["digest"].split(":")
    data = (folder / "blobs" / algorithm / digest).read_bytes()
    assert algorithm == "sha256" and hashlib.sha256(data).hexdigest() == digest, descriptor
    assert len(data) == descriptor["size"], descriptor
    named.add(digest)
    return data


assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
index = json.loads((folder / "index.json").read_text())
[entry] = index["manifests"]
manifest = json.loads(blob(entry))
config = json.loads(blob(manifest["config"]))
layers = []
for descriptor, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
    archive = gzip.decompress(blob(descriptor))
    assert "sha256:" + hashlib.sha256(archive).hexdigest() == diff_id
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        files = [
            {
                "name": member.name,
                "is_file": member.isfile(),
                "mode": member.mode,
                "owner": [member.uid, member.gid, member.mtime],
                "sha256": hashlib.sha256(opened.extractfile(member).read()).hexdigest(),
            }
            for member in opened
        ]
    layers.append({"mediaType": descriptor["mediaType"], "files": files})
stored = {path.name for path in (folder / "blobs" / "sha256").iterdir()}
assert stored == named, f"blobs that nothing names: {stored - named}"
print(json.dumps({"entry": entry, "manifest": manifest, "config": config, "layers": layers}))
