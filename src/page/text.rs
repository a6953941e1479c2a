//! The texts of the pages, in each language. `pack.rs` packs the files in `page/texts`: one text a line, in the order of
//! [`Text`].

use std::sync::OnceLock;

/// A language of the pages.
// Those after English stand in the order of `PACKED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "PageLanguage", rename_all = "snake_case"))]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
    /// Portuguese, as in Brazil.
    Pt,
    /// Japanese.
    Ja,
    /// Chinese, in simplified characters.
    Zh,
}

/// The most language ranges of an `Accept-Language` that are read: browsers send fewer than ten.
const MAX_RANGES: usize = 32;

/// The greatest weight, in thousandths, and that of a range without one (RFC 9110, 12.4.2).
const MAX_WEIGHT: u16 = 1000;

/// A weight (RFC 9110, 12.4.2) in thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 1 || fraction.len() > 3 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let weight = format!("{whole}{fraction:0<3}").parse().ok()?;
    (weight <= MAX_WEIGHT).then_some(weight)
}

/// The English texts, one a line.
const ENGLISH: &str = include_str!(concat!(env!("OUT_DIR"), "/en"));

macro_rules! packed {
    ($($language:literal),*) => { [$(include_bytes!(concat!(env!("OUT_DIR"), "/", $language, ".zlib"))),*] };
}

/// The texts of the other languages in zlib, a third of their size.
const PACKED: [&[u8]; Language::ALL.len() - 1] = packed!["de", "fr", "es", "pt", "ja", "zh"];

type Lines = Box<[Box<str>]>;

fn split(texts: &str) -> Lines {
    texts.lines().map(Box::from).collect()
}

/// The texts of each language, once a page has needed them.
static UNPACKED: [OnceLock<Lines>; Language::ALL.len()] = [const { OnceLock::new() }; Language::ALL.len()];

impl Language {
    /// All languages, in the order of their declaration.
    pub const ALL: [Self; 7] = [Self::En, Self::De, Self::Fr, Self::Es, Self::Pt, Self::Ja, Self::Zh];

    /// The tag (BCP 47), for `lang` of the page.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::Pt => "pt-BR",
            Self::Ja => "ja",
            Self::Zh => "zh-Hans",
        }
    }

    /// The direction of writing, for `dir` of the page.
    pub const fn direction(self) -> &'static str {
        match self {
            Self::En | Self::De | Self::Fr | Self::Es | Self::Pt | Self::Ja | Self::Zh => "ltr",
        }
    }

    /// The text between two sentences.
    const fn between_sentences(self) -> &'static str {
        match self {
            Self::Ja | Self::Zh => "",
            Self::En | Self::De | Self::Fr | Self::Es | Self::Pt => " ",
        }
    }

    /// The language alone of its tag, without region and script.
    pub fn primary_subtag(self) -> &'static str {
        self.tag().split('-').next().unwrap_or_default()
    }

    /// The language of this tag (BCP 47). Its region and script do not count.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.primary_subtag().eq_ignore_ascii_case(primary))
    }

    /// The language that a browser prefers by its `Accept-Language` (RFC 9110, 12.5.4), among ours.
    pub fn preferred(accepted: &str) -> Option<Self> {
        let mut best = None;
        for range in accepted.split(',').take(MAX_RANGES) {
            let (tag, weight) = range.split_once(';').map_or((range, Some(MAX_WEIGHT)), |(tag, weight)| {
                (
                    tag,
                    weight
                        .trim()
                        .strip_prefix(['q', 'Q'])
                        .and_then(|weight| weight.strip_prefix('='))
                        .and_then(thousandths),
                )
            });
            let weight = weight.unwrap_or_default();
            // The first of equally preferred languages.
            if weight > best.map_or(0, |(_, known)| known)
                && let Some(language) = Self::from_tag(tag.trim())
            {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }

    /// This language, once its texts are unpacked (zlib); English where they cannot be.
    pub fn unpacked(self, unpack: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        let is_known = self == Self::En || self.texts().is_some_and(|texts| texts.get().is_some());
        if is_known {
            return self;
        }
        let packed = (self as usize).checked_sub(1).and_then(|place| PACKED.get(place));
        match packed.and_then(|packed| unpack(packed)) {
            Some(texts) => {
                self.texts().inspect(|own| drop(own.set(split(&String::from_utf8_lossy(&texts)))));
                self
            }
            None => Self::En,
        }
    }

    /// A text in this language; in English before [`Self::unpacked`].
    pub fn get(self, text: Text) -> &'static str {
        let own = self.texts().and_then(OnceLock::get);
        let lines = own.or_else(|| Self::En.texts().map(|texts| texts.get_or_init(|| split(ENGLISH))));
        lines.and_then(|lines| lines.get(text as usize)).map_or("", |line| line)
    }

    fn texts(self) -> Option<&'static OnceLock<Lines>> {
        UNPACKED.get(self as usize)
    }

    /// The sentences as one paragraph.
    pub fn sentences(self, texts: &[Text]) -> String {
        let texts: Vec<_> = texts.iter().map(|text| self.get(*text)).collect();
        texts.join(self.between_sentences())
    }
}

macro_rules! texts {
    ($($name:ident)*) => {
        /// A text of a page: a heading, a sentence or a label, as `page/texts/en.txt` has it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the file of each language has the words")]
        pub enum Text { $($name),* }

        #[cfg(test)]
        const TEXTS: &[Text] = &[$(Text::$name),*];

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

texts! {
    SignInFailed SomethingWrong Busy MayNotOpen Closed NoAnswer ServiceProblem Declined MayNotSignIn PleaseSignIn
    SigningIn StrongerNeeded CannotOpen CookiesLost TooMuchData NotAccepted NothingHere StillSignedIn SignOutQuestion
    SignedOut SignedOutHereOnly SendAgainQuestion AnswerIncomplete AnswerOfOtherService AnswerUnacceptable SignInOver
    SignInTooLate ServiceRefused SiteNotAccepted YouDeclined NotJustNow OwnFault DataTooLong NotAmongAccounts
    NotInGroups NotAmongAddresses AddressNotVerified OtherServiceNeeded GroupsLeftOut OpenToNoOne SiteDoesNotAdmit
    AccountLookupFailed SessionLookupFailed NothingForPage ServiceOfPageRefused PageNeedsAnswer CookieNeverCame
    AllowCookies NotSignedIn NotDelivered NotDeliveredButKept TakesWholeWindow StrongerThanYours StrongerNotConfirmed
    AskedElsewhere SignOutHere TooLong Ambiguous Reserved ForPrograms BeingSent SignInAgainAfterwards SessionOver
    ServiceMayKnowYou StillSignedInThere FormNotDelivered NoForm FormNotKept Choose ChooseOrEnter UnknownAddress
    NeedsJavascript TryAgainPlease TryAgainSoon TellOperator TryAgainOrTell OtherAccount SignedInAs SignIn TryAgain
    AnotherAccount AnotherWay SignOut SignInAgain SendNow Continue EmailAddress Help Code Request
}

#[cfg(test)]
mod tests;
