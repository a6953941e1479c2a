//! The scope of a resource of Istio or Envoy Gateway: workloads by their namespace and labels, or Gateways and routes by
//! their names.

use std::fmt;

use crate::{
    kubernetes::{is_same_namespace, list, text},
    tree::{Member, Node, Position},
};

/// The namespace of Istio whose resources apply to all, unless the mesh names another.
const ROOT_NAMESPACE: &str = "istio-system";
/// Where resources have the labels of workloads.
const LABELS: [&[&str]; 5] = [
    &["spec", "template", "metadata", "labels"],
    &["spec", "selector", "match_labels"],
    &["spec", "selector"],
    &["spec", "workload_selector", "labels"],
    &["spec", "workload_selector", "match_labels"],
];

/// The workloads, Gateways and routes that a resource applies to.
pub(crate) struct Scope<'a> {
    namespace: Option<Part<'a>>,
    /// None where it applies to all workloads of the namespace.
    labels: Vec<Part<'a>>,
    /// The kinds and names that it targets.
    targets: Vec<Part<'a>>,
    /// Whether it has all labels of the workloads, being their own declaration.
    is_workload: bool,
}

/// A label, or a kind with a name.
#[derive(Clone, Copy)]
struct Part<'a> {
    key: &'a str,
    value: &'a str,
    at: Position,
}

/// The scope of a resource and that of the filter, where they differ.
pub(crate) struct Difference {
    /// Where the resource says so.
    pub(crate) at: Position,
    own: String,
    of_filter: String,
    filter_at: Position,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, and the filter is for {} (line {})", self.own, self.of_filter, self.filter_at.line)
    }
}

impl<'a> Scope<'a> {
    pub(crate) fn of(document: &'a Node) -> Self {
        let text_of = |node: &'a Node| -> Option<(&'a str, Position)> { Some((node.text()?, node.at)) };
        let namespace = document.at_path(&["metadata", "namespace"]).and_then(text_of);
        let labels = LABELS.iter().filter_map(|path| document.at_path(path));
        let labels = labels.map(labels_of).find(|labels| !labels.is_empty()).unwrap_or_default();
        let one = document.at_path(&["spec", "target_ref"]).into_iter();
        let targets = one.chain(list(document, &["spec", "target_refs"])).filter_map(|target| {
            let (value, at) = target.field("name").and_then(text_of)?;
            Some(Part { key: text(target, &["kind"])?, value, at })
        });
        Self {
            namespace: namespace.map(|(value, at)| Part { key: "namespace", value, at }),
            labels,
            targets: targets.collect(),
            is_workload: document.at_path(&["spec", "template", "metadata"]).is_some(),
        }
    }

    /// How this resource certainly, or most probably, applies to other things than the filter's; `None` where both may apply
    /// to the same.
    pub(crate) fn difference(&self, filter: &Self) -> Option<Difference> {
        self.other_label(filter).or_else(|| self.other_target(filter)).or_else(|| self.other_namespace(filter))
    }

    /// As [`Self::difference`], of resources that apply to the workloads of every namespace.
    pub(crate) fn other_label(&self, filter: &Self) -> Option<Difference> {
        let (first, wanted) = (self.labels.first()?, filter.labels.first()?);
        let of_key = |key: &str| self.labels.iter().find(|label| label.key == key);
        let mut pairs = filter.labels.iter().filter_map(|wanted| Some((of_key(wanted.key)?, wanted)));
        if let Some((own, wanted)) = pairs.find(|(own, wanted)| own.value != wanted.value) {
            return Some(Difference::of_workloads((own.at, own.label()), (wanted.at, wanted.label())));
        }
        let is_covered = |wanted: &Part<'_>| of_key(wanted.key).is_some();
        let is_other = if self.is_workload {
            !filter.labels.iter().all(is_covered)
        } else {
            // Labels of two names may be of one workload; with one value they surely are. Those of Istio's own gateway are
            // app=istio-ingressgateway and istio=ingressgateway.
            let value = |label: &Part<'a>| label.value.trim_start_matches("istio-");
            let has_value = |wanted: &Part<'a>| self.labels.iter().any(|own| value(own) == value(wanted));
            !filter.labels.iter().any(|wanted| is_covered(wanted) || has_value(wanted))
        };
        is_other.then(|| Difference::of_workloads((first.at, all(&self.labels)), (wanted.at, all(&filter.labels))))
    }

    fn other_target(&self, filter: &Self) -> Option<Difference> {
        let own = self.targets.iter().find(|own| filter.targets.iter().any(|wanted| wanted.key == own.key))?;
        let wanted = filter.targets.iter().find(|wanted| wanted.key == own.key)?;
        let is_same =
            |own: &Part<'_>| filter.targets.iter().any(|wanted| (wanted.key, wanted.value) == (own.key, own.value));
        if self.targets.iter().any(is_same) {
            return None;
        }
        let target = |part: &Part<'_>| format!("the {} {}", part.key, part.value);
        Some(Difference { at: own.at, own: target(own), of_filter: target(wanted), filter_at: wanted.at })
    }

    fn other_namespace(&self, filter: &Self) -> Option<Difference> {
        let (own, wanted) = (self.namespace?, filter.namespace?);
        let is_root = [own, wanted].iter().any(|namespace| namespace.value == ROOT_NAMESPACE);
        if is_root || is_same_namespace(Some(own.value), Some(wanted.value)) {
            return None;
        }
        let name = |part: Part<'_>| format!("the namespace {}", part.value);
        Some(Difference { at: own.at, own: name(own), of_filter: name(wanted), filter_at: wanted.at })
    }

    /// Whether the two select exactly the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let pairs = |parts: &[Part<'a>]| {
            let mut pairs: Vec<_> = parts.iter().map(|part| (part.key, part.value)).collect();
            pairs.sort_unstable();
            pairs
        };
        let value = |part: Option<Part<'a>>| part.map(|part| part.value);
        pairs(&self.labels) == pairs(&other.labels)
            && pairs(&self.targets) == pairs(&other.targets)
            && is_same_namespace(value(self.namespace), value(other.namespace))
    }

    /// Whether the workloads are gateways rather than those of an app.
    pub(crate) fn is_of_gateways(&self) -> bool {
        self.labels.iter().any(|label| label.key == "istio" || label.value.contains("gateway"))
    }

    /// Whether a label or name here is a slip of the keyboard away from the filter's.
    pub(crate) fn is_near(&self, filter: &Self) -> bool {
        let labels = self.labels.iter().any(|own| filter.labels.iter().any(|wanted| own.is_near(wanted)));
        labels || self.targets.iter().any(|own| filter.targets.iter().any(|wanted| own.is_near(wanted)))
    }
}

fn labels_of(node: &Node) -> Vec<Part<'_>> {
    let texts = node.members().iter().filter_map(|Member { key, node, .. }| Some((key, node.text()?, node.at)));
    texts.map(|(key, value, at)| Part { key, value, at }).collect()
}

fn all(labels: &[Part<'_>]) -> String {
    labels.iter().map(Part::label).collect::<Vec<_>>().join(", ")
}

impl Difference {
    fn of_workloads((at, own): (Position, String), (filter_at, wanted): (Position, String)) -> Self {
        Self { at, own: format!("workloads with {own}"), of_filter: format!("those with {wanted}"), filter_at }
    }
}

impl Part<'_> {
    fn label(&self) -> String {
        format!("{}={}", self.key, self.value)
    }

    /// Whether the value is a slip of the keyboard away from the other's: `web-1` and `web-2` are two workloads, and so may be
    /// `app` and `api`.
    fn is_near(&self, other: &Self) -> bool {
        let without_digits = |text: &str| text.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
        self.key == other.key
            && self.value.len() > 3
            && strsim::osa_distance(self.value, other.value) == 1
            && without_digits(self.value) != without_digits(other.value)
    }
}
