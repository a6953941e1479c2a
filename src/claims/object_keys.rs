//! Claims that are objects, and count as the list of their keys.

use serde_json::{Map, Value};

use super::{Claim, ClaimPath};

/// The places of objects that count as the list of their keys. ZITADEL sends roles that way: `{"admin": {...}, "editor": {...}}`
/// counts as `["admin", "editor"]`. Conditions, headers and filter state cannot use objects.
#[derive(Debug, Clone, Default)]
pub struct ObjectKeys(Vec<ClaimPath>);

impl ObjectKeys {
    /// No claim.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// The claims at these places.
    pub const fn at(places: Vec<ClaimPath>) -> Self {
        Self(places)
    }

    /// The places of both.
    pub fn extend(&mut self, with: &Self) {
        for place in &with.0 {
            if !self.0.contains(place) {
                self.0.push(place.clone());
            }
        }
    }

    /// Whether this path leads into an object that counts as a list, where nothing is found.
    pub fn hides(&self, path: &ClaimPath) -> bool {
        let is_above = |place: &&ClaimPath| {
            let rest = path.below.strip_prefix(place.below.as_str());
            place.name == path.name && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        self.0.iter().any(|place| is_above(&place))
    }

    /// The claim of this name, with lists of keys in place of the configured objects.
    pub fn with_key_lists(&self, name: &str, mut claim: Value) -> Value {
        for place in self.0.iter().filter(|place| place.name == name) {
            if let Some(value) = claim.pointer_mut(&place.below) {
                list_keys(value);
            }
        }
        claim
    }

    /// Whether this claim still has such an object, as a session of an earlier configuration may.
    pub fn has_object(&self, name: &str, claim: Claim<'_>) -> bool {
        let Claim::Json(claim) = claim else { return false };
        let mut places = self.0.iter().filter(|place| place.name == name);
        places.any(|place| claim.pointer(&place.below).is_some_and(Value::is_object))
    }

    /// Replaces each configured object by the list of its keys.
    pub fn replace_objects(&self, claims: &mut Map<String, Value>) {
        for place in &self.0 {
            if let Some(value) = claims.get_mut(&place.name).and_then(|claim| claim.pointer_mut(&place.below)) {
                list_keys(value);
            }
        }
    }
}

/// Puts the list of its keys in place of an object. A key with an empty value (`null`, `false`, `0`, `""`, `"false"`, `[]`, `{}`)
/// names what the user lacks.
fn list_keys(value: &mut Value) {
    let Value::Object(members) = value else { return };
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.as_str(), "" | "false" | "0"),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    };
    let keys = members.iter().filter(|(_, value)| !is_empty(value));
    *value = keys.map(|(key, _)| Value::from(key.as_str())).collect();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(places: &[&str]) -> ObjectKeys {
        ObjectKeys::at(places.iter().map(|place| ClaimPath::parse(place).unwrap()).collect())
    }

    #[test]
    fn an_object_keys_claim_is_replaced_by_the_list_of_its_keys() {
        let claims = json!({
            "urn:zitadel:iam:org:project:roles": {"admin": {"2001": "a.example"}, "editor": {"2001": "a.example"}},
            "app": {
                "roles": {"reader": true, "writer": false, "owner": null, "a": 0, "b": "", "c": "false", "d": [], "e": {}},
                "name": "x",
            },
            "list": ["a"], "text": "a", "nothing": null, "none": {}, "address": {"locality": "Ulm"},
        });
        for (place, expected) in [
            ("urn:zitadel:iam:org:project:roles", json!(["admin", "editor"])),
            ("/urn:zitadel:iam:org:project:roles", json!(["admin", "editor"])),
            ("/app/roles", json!({"roles": ["reader"], "name": "x"})),
            ("/app/name", claims["app"].clone()),
            ("/app/absent", claims["app"].clone()),
            ("list", json!(["a"])),
            ("text", json!("a")),
            ("nothing", json!(null)),
            ("none", json!([])),
        ] {
            let keys = at(&[place]);
            let name = ClaimPath::parse(place).unwrap().name().to_owned();
            let listed = keys.with_key_lists(&name, claims[&name].clone());
            assert_eq!(listed, expected, "{place}");
            assert_eq!(keys.has_object(&name, Claim::Json(&claims[&name])), listed != claims[&name], "{place}");
            assert!(!keys.has_object(&name, Claim::Json(&listed)), "{place}");
            let mut all = claims.as_object().unwrap().clone();
            keys.replace_objects(&mut all);
            assert_eq!(all[&name], expected, "{place}");
            assert_eq!(all["address"], claims["address"], "{place}");
        }
    }

    #[test]
    fn paths_below_an_object_keys_claim_are_hidden() {
        let keys = at(&["roles", "/app/roles"]);
        let hides = |path: &str| keys.hides(&ClaimPath::parse(path).unwrap());
        assert!(hides("/roles/admin") && hides("/app/roles/admin/x"));
        assert!(
            !hides("roles") && !hides("/app/roles") && !hides("/app/rolesx") && !hides("/app/name") && !hides("app")
        );
    }

    #[test]
    fn object_keys_of_two_configurations_are_merged() {
        let mut keys = at(&["a"]);
        keys.extend(&at(&["a", "/b/c"]));
        let mut claims = json!({"a": {"x": 1}, "b": {"c": {"y": 1}}}).as_object().unwrap().clone();
        keys.replace_objects(&mut claims);
        assert_eq!(Value::from(claims), json!({"a": ["x"], "b": {"c": ["y"]}}));
    }
}
