//! The HTML page of all local replies to browsers: a text, one action, and the code for the operator. It loads nothing
//! (images are `data:` URLs), may be framed only in answers to frames, and has a script only where a response alone cannot do
//! the work ([`Script`]). The script is our own, allowed by its hash.

pub mod logo;
pub mod look;
pub mod text;

mod html;
mod inline;
mod policy;

use logo::Logo;
use text::Text;

/// A page.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// The heading: what happened.
    pub title: Text,
    /// The explanation, and what helps.
    pub texts: Vec<Text>,
    /// The app's message to the user, in the app's words, in place of the explanation.
    pub message: Option<&'a str>,
    /// The signed-in user.
    pub user: Option<String>,
    /// Details for the operator, in English.
    pub detail: Option<String>,
    /// The next action of the user.
    pub action: Option<Action>,
    /// The links below the action.
    pub secondary_links: Vec<Link>,
    /// The explanation that the script puts in place of the other where it cannot do its work.
    pub fallback: Option<Text>,
    /// The stable code of a failure.
    pub code: Option<&'a str>,
    /// The id of the request in logs (`x-request-id`).
    pub request_id: Option<&'a str>,
    /// The script of the page.
    pub script: Option<Script>,
    /// A form that the browser keeps over the sign-in.
    pub kept: Option<KeptForm>,
    /// Whether it answers a frame: its links then open in the whole window.
    pub is_framed: bool,
}

/// The work of a page's script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Follow the link at once, with the fragment, which browsers do not send.
    FollowWithFragment,
    /// Keep the form on the page in this tab.
    KeepForm,
    /// Offer to send the kept form again.
    ResendForm,
}

impl Script {
    const fn text(self) -> &'static str {
        match self {
            Self::FollowWithFragment => include_str!("page/follow_with_fragment.js"),
            Self::KeepForm => include_str!("page/keep_form.js"),
            Self::ResendForm => include_str!("page/resend_form.js"),
        }
    }
}

/// A posted form, to be posted again after the sign-in.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptForm {
    /// The target: path and query.
    pub action: String,
    /// Names and values, in document order.
    pub fields: Vec<(String, String)>,
}

/// Hides the fields, which may hold personal data.
impl std::fmt::Debug for KeptForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptForm([redacted])")
    }
}

/// A label and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The label.
    pub label: Text,
    /// The target.
    pub href: String,
}

/// The next action of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Several links, of which the user chooses one, below a form that chooses by email address.
    Choose {
        /// The form.
        form: Option<AddressForm>,
        /// The links.
        choices: Vec<Choice>,
    },
    /// A link.
    Link(Link),
    /// A button that posts.
    Post(Link),
    /// A button that posts the kept form, or a link if there is none.
    Resend(Link),
}

impl Action {
    /// A link.
    pub const fn link(label: Text, href: String) -> Self {
        Self::Link(Link { label, href })
    }
}

/// A link among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The label.
    pub title: String,
    /// The target.
    pub href: String,
    /// The image beside the label.
    pub logo: Option<Logo>,
    /// A class of the link.
    pub css_class: Option<String>,
}

/// A form (GET) with a field for an email address, which it never shows again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressForm {
    /// The target, without a query.
    pub action: String,
    /// The parameters of the target.
    pub fields: Vec<(String, String)>,
    /// The parameter with the address.
    pub name: &'static str,
    /// Whether an address was entered before for which there is no target.
    pub is_unknown: bool,
}

impl<'a> Page<'a> {
    /// A page with this heading and text, which reports success.
    pub fn new(title: Text, texts: &[Text]) -> Self {
        Self {
            title,
            texts: texts.to_vec(),
            message: None,
            user: None,
            detail: None,
            action: None,
            secondary_links: Vec::new(),
            fallback: None,
            code: None,
            request_id: None,
            script: None,
            kept: None,
            is_framed: false,
        }
    }
}
