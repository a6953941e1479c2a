//! A headless browser, driven by the scripts in `browser`, which report their observations as JSON. It is Chromium, or the one
//! that `VESTIBULE_BROWSER` names: `firefox` or `webkit`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::process::{self, Running, Scratch};
use crate::tools;

/// A browser in which the scenarios run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browser {
    /// Debian's Chromium, Chrome, or another build of it.
    Chromium,
    /// Firefox, such as Debian's ESR.
    Firefox,
    /// WebKitGTK, which shares its engine with Safari.
    WebKit,
}

impl Browser {
    /// The one that `VESTIBULE_BROWSER` names, or Chromium.
    ///
    /// # Panics
    /// If there is none of that name.
    #[must_use]
    pub fn chosen() -> Self {
        match env::var("VESTIBULE_BROWSER").unwrap_or_default().as_str() {
            "" | "chromium" => Self::Chromium,
            "firefox" => Self::Firefox,
            "webkit" => Self::WebKit,
            other => panic!("VESTIBULE_BROWSER={other}: the browsers are chromium, firefox and webkit"),
        }
    }

    /// The scheme of the sites it visits. WebKit takes no `Secure` cookie by HTTP, not even from this machine; the proxy of
    /// its driver ends TLS.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Chromium | Self::Firefox => "http",
            Self::WebKit => "https",
        }
    }

    fn name_and_binary(self) -> (&'static str, PathBuf) {
        match self {
            Self::Chromium => ("chromium", tools::chromium()),
            Self::Firefox => ("firefox", tools::firefox()),
            Self::WebKit => ("webkit", tools::webkit()),
        }
    }
}

/// A visit of one user with one browser: the pages to open, and the credentials.
#[derive(Debug, Clone, Default)]
pub struct Visit<'a> {
    /// The page asked for first, without a session.
    pub url: &'a str,
    /// The user name and password for the provider's form.
    pub user: (&'a str, &'a str),
    /// A page for a second tab afterwards.
    pub second: Option<&'a str>,
    /// Pages for tabs opened all at once afterwards.
    pub tabs: &'a [String],
    /// Where to sign out at the end; then `url` is asked for again.
    pub sign_out: Option<&'a str>,
}

impl Visit<'_> {
    /// Runs the visit: `{asked_at, first, cookies, navigations, second?, tabs?, signed_out?, after?}`, where every page is
    /// `{origin, target, title, text}`.
    ///
    /// # Panics
    /// If a page does not come, with what the browser said.
    #[must_use]
    pub fn run(&self) -> Value {
        let (user, password) = self.user;
        let mut arguments = json!({"url": self.url, "user": user, "password": password});
        if let Some(second) = self.second {
            arguments["second"] = json!(second);
        }
        if !self.tabs.is_empty() {
            arguments["tabs"] = json!(self.tabs);
        }
        if let Some(sign_out) = self.sign_out {
            arguments["sign_out"] = json!(sign_out);
        }
        observe("visit.mjs", arguments)
    }
}

/// The step for the tabs that still show the provider's form after a sign-in in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherTabs {
    /// They sign in in each.
    Finished,
    /// They open their pages again, all at once.
    OpenedAgain,
}

/// Opens all pages at once without a session, signs in in one tab, then turns to the others:
/// `{pending: [cookie], asked_at: [url], arrived: [page], cookies: [cookie]}`.
///
/// # Panics
/// If a page does not come, with what the browser said.
#[must_use]
pub fn tabs_at_once(tabs: &[String], user: (&str, &str), others: OtherTabs) -> Value {
    let opened_again = others == OtherTabs::OpenedAgain;
    observe("tabs.mjs", json!({"tabs": tabs, "user": user.0, "password": user.1, "opened_again": opened_again}))
}

/// The way of one user from page to page, one report for each step: `{step, origin, target, title, text, navigations:
/// [{method, status, url}], complaints, cookies, tabs?, answer?, focus?}`. The verbs are those of `browser/walk.mjs`; the
/// cookies are those of `home`.
///
/// # Panics
/// If a page does not come, with what the browser said.
#[must_use]
pub fn walk<const N: usize>(home: &str, steps: [Value; N]) -> [Value; N] {
    reports(observe("walk.mjs", json!({"home": home, "steps": steps.to_vec()})))
}

/// Like [`walk`], in a browser that takes no cookie from the host `blocked`.
///
/// # Panics
/// If a page does not come, with what the browser said.
#[must_use]
pub fn walk_without_cookies<const N: usize>(home: &str, blocked: &str, steps: [Value; N]) -> [Value; N] {
    reports(observe("walk.mjs", json!({"home": home, "steps": steps.to_vec(), "blocked": blocked})))
}

/// Like [`walk`], in a browser that takes third-party cookies, or blocks them.
///
/// # Panics
/// If a page does not come, with what the browser said.
#[must_use]
pub fn walk_with_third_party_cookies<const N: usize>(home: &str, allowed: bool, steps: [Value; N]) -> [Value; N] {
    reports(observe("walk.mjs", json!({"home": home, "steps": steps.to_vec(), "third_party": allowed})))
}

fn reports<const N: usize>(observed: Value) -> [Value; N] {
    let steps: Vec<Value> = observed["steps"].as_array().cloned().unwrap_or_default();
    steps.try_into().expect("one report for each step")
}

/// A text of a report.
///
/// # Panics
/// If there is none of this name.
#[must_use]
#[track_caller]
pub fn text<'a>(report: &'a Value, name: &str) -> &'a str {
    report[name].as_str().unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// The URL of a page in a report.
///
/// # Panics
/// If it is no page.
#[must_use]
#[track_caller]
pub fn place(page: &Value) -> String {
    format!("{}{}", text(page, "origin"), text(page, "target"))
}

/// The names of the cookies in a report.
///
/// # Panics
/// If they are no cookies.
#[must_use]
#[track_caller]
pub fn names(cookies: &Value) -> Vec<&str> {
    cookies.as_array().expect("cookies").iter().map(|cookie| text(cookie, "name")).collect()
}

/// Takes `light.png`, `dark.png`, `phone.png` and `narrow.png` of a page into `folder`, signed in if there is a user:
/// `{light|dark|phone|narrow: {file, origin, target, title, text, scrolls_sideways, background, color, texts: [{text, contrast}],
/// controls: [{text, width, height}], images: [{beside, type, natural, width, height, alt}], focus: {tag, text, outline}, complaints,
/// violations: [{rule, impact, nodes}], language, direction}}`.
///
/// # Panics
/// If the page does not come, with what the browser said.
#[must_use]
pub fn screenshots(url: &str, user: Option<(&str, &str)>, folder: &Path) -> Value {
    fs::create_dir_all(folder).expect("the folder for pictures can be made");
    let mut arguments = json!({"url": url, "folder": folder});
    if let Some((user, password)) = user {
        arguments["user"] = json!(user);
        arguments["password"] = json!(password);
    }
    observe("screenshot.mjs", arguments)
}

/// Like [`screenshots`], of the page behind the first link on the page `link`.
///
/// # Panics
/// If the page does not come, with what the browser said.
#[must_use]
pub fn screenshots_behind(link: &str, folder: &Path) -> Value {
    fs::create_dir_all(folder).expect("the folder for pictures can be made");
    observe("screenshot.mjs", json!({"link": link, "folder": folder}))
}

/// Runs one script of `browser` and reads its observations.
///
/// # Panics
/// If the script fails, with what it said.
#[must_use]
pub fn observe(script: &str, mut arguments: Value) -> Value {
    let (name, binary) = Browser::chosen().name_and_binary();
    let _driver = tools::provider();
    arguments["browser"] = json!({"name": name, "binary": binary});
    let scratch = Scratch::new("browser");
    let (file, log) = (scratch.file("arguments.json"), scratch.file("log"));
    fs::write(&file, arguments.to_string()).expect("the target folder can be written");
    let mut command = Command::new("node");
    command.arg(tools::root().join("wasm-tests/browser").join(script)).arg(file);
    let mut running = Running::start(&command, &log);
    let code = process::until("end of the browser script", || running.exited());
    let said = running.log();
    assert_eq!(code, 0, "{script}: {said}");
    said.lines().find_map(|line| serde_json::from_str(line).ok()).expect("one line of JSON")
}
