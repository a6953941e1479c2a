//! References between the resources of a file that lead nowhere: to a misspelt name, or to a part that the resource does not
//! have.

use crate::{
    finding::Finding,
    kubernetes::{is_same_namespace, kind, list, name, namespace, of_kind, text, title},
    spelling::{self, nearest},
    tree::Node,
};

/// The fields that refer to other resources, and the kind where a reference has none.
const FIELDS: [(&str, &str); 5] = [
    ("backend_refs", "Service"),
    ("parameters_ref", ""),
    ("parent_refs", "Gateway"),
    ("target_ref", ""),
    ("target_refs", ""),
];

/// Warnings on the references in this file. `gateway::routes` has those of the filter's own resource to routes.
pub(super) fn review(own: &Node, documents: &[Node]) -> Vec<Finding> {
    let mut found = Vec::new();
    for document in documents {
        document.visit(&mut |node| {
            for (field, default) in FIELDS {
                let Some(node) = node.field(field) else { continue };
                let references = if node.members().is_empty() { node.elements() } else { std::slice::from_ref(node) };
                for reference in references {
                    let kind = text(reference, &["kind"]).unwrap_or(default);
                    if !(document.at == own.at && kind == "HTTPRoute") || reference.field("section_name").is_some() {
                        found.extend(dangling(reference, kind, document, documents));
                    }
                }
            }
        });
    }
    found
}

fn dangling(reference: &Node, kind: &str, document: &Node, documents: &[Node]) -> Option<Finding> {
    let around = text(reference, &["namespace"]).or_else(|| namespace(document));
    let known: Vec<_> = of_kind(documents, kind).filter(|known| is_same_namespace(namespace(known), around)).collect();
    let wanted = reference.field("name")?;
    let Some(referred) = known.iter().find(|known| name(known) == wanted.text()) else {
        // What is not in this file may be elsewhere.
        let meant = nearest(wanted.text()?, known.iter().filter_map(|known| name(known)))?;
        let message = format!(
            "no {kind} of this file has the name `{}`, which this {} wants; did you mean `{meant}`?",
            wanted.text()?,
            self::kind(document)
        );
        return Some(Finding::warning(wanted.at, message));
    };
    let section = reference.field("section_name")?;
    let parts = match kind {
        "Gateway" => list(referred, &["spec", "listeners"]),
        "HTTPRoute" => list(referred, &["spec", "rules"]),
        _ => return None,
    };
    let names: Vec<_> = parts.iter().filter_map(|part| text(part, &["name"])).collect();
    if section.text().is_none_or(|section| names.contains(&section)) {
        return None;
    }
    let part = if kind == "Gateway" { "listener" } else { "rule" };
    let message = format!(
        "the {kind} {} has no {part} `{}`, so this {} applies to nothing{}",
        title(referred),
        section.text()?,
        self::kind(document),
        spelling::hint(section.text()?, &names)
    );
    Some(Finding::warning(section.at, message))
}
