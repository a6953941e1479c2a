//! Names of claims that the filter takes as they stand, and that no token has.

use crate::{
    finding::Finding,
    spelling::nearest,
    tree::{Node, Position},
};

/// The warnings on the claims that headers, filter state and conditions name.
pub(super) fn review(root: &Node) -> Vec<Finding> {
    let mut names = Vec::new();
    for place in [&["identity_headers"][..], &["filter_state", "claims"]] {
        let values = root.at_path(place).map_or(&[][..], Node::members).iter().map(|member| &member.node);
        names.extend(values.filter_map(name_in));
    }
    root.visit(&mut |node| {
        let Some(allow) = node.get("allow") else { return };
        allow.visit(&mut |condition| {
            let claims = condition.get("claims").map_or(&[][..], Node::members);
            names.extend(claims.iter().map(|member| (member.key.as_str(), member.at)));
        });
    });
    let doubt = |name| doubt(name).or_else(|| doubt_at_github(name, root));
    names.into_iter().filter_map(|(name, at)| Some(Finding::warning(at, doubt(name)?))).collect()
}

/// GitHub's users have few claims, whose names are known.
fn doubt_at_github(name: &str, root: &Node) -> Option<String> {
    const OF_GITHUB: [&str; 3] = ["login", "orgs", "teams"];
    let providers = root.get("providers").map_or(&[][..], Node::elements);
    let is_github = |provider: &Node| {
        ["preset", "type"].iter().any(|kind| provider.get(kind).and_then(Node::text) == Some("github"))
    };
    let near = nearest(name, OF_GITHUB).filter(|near| *near != name && providers.iter().all(is_github))?;
    Some(format!("users of GitHub have no claim {name:?}; did you mean `{near}`?"))
}

/// The claim that is named alone, or beside its format.
fn name_in(value: &Node) -> Option<(&str, Position)> {
    let node = value.get("claim").unwrap_or(value);
    Some((node.text()?, node.at))
}

fn doubt(name: &str) -> Option<String> {
    let is_pointer = name.starts_with('/');
    if name.starts_with(['$', '{']) {
        return Some(format!(
            "expected the name of a claim, such as sub, got {name:?}; `template` takes a text with claims in braces"
        ));
    }
    if name.starts_with("X-") || name.starts_with("x-") {
        return Some(format!("expected the name of a claim, got {name:?}; the header is on the left: `{name}: sub`"));
    }
    if is_pointer || name.contains(':') || !name.contains(['.', '/']) {
        return None;
    }
    let steps = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    Some(format!("{name:?} is the claim of this whole name; one within another is a JSON Pointer: /{steps}"))
}
