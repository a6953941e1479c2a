//! Resources of Kubernetes in a file: their kinds, their names, and the lists and texts in them.

use crate::tree::Node;

/// The resources of this kind.
pub(crate) fn of_kind<'a>(documents: &'a [Node], kind: &'a str) -> impl Iterator<Item = &'a Node> {
    documents.iter().filter(move |document| self::kind(document) == kind)
}

/// The kind of a resource; empty where it has none.
pub(crate) fn kind(document: &Node) -> &str {
    document.get("kind").and_then(Node::text).unwrap_or_default()
}

/// The namespace and name of a resource, for messages.
pub(crate) fn title(document: &Node) -> String {
    let name = name(document).unwrap_or("without a name");
    namespace(document).map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// The name of a resource.
pub(crate) fn name(document: &Node) -> Option<&str> {
    text(document, &["metadata", "name"])
}

/// The namespace of a resource; where it has none, `kubectl` decides.
pub(crate) fn namespace(document: &Node) -> Option<&str> {
    text(document, &["metadata", "namespace"])
}

/// Whether two namespaces may be the same one.
pub(crate) fn is_same_namespace(one: Option<&str>, other: Option<&str>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// The elements of the list at the end of these fields.
pub(crate) fn list<'a>(node: &'a Node, path: &[&str]) -> &'a [Node] {
    node.at_path(path).map_or(&[][..], Node::elements)
}

/// The text at the end of these fields.
pub(crate) fn text<'a>(node: &'a Node, path: &[&str]) -> Option<&'a str> {
    node.at_path(path).and_then(Node::text)
}
