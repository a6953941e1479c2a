//! The arguments, from the environment: make hands on the variables of its command line.

use std::{env, path::PathBuf, str::FromStr};

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Cpu,
    Memory,
    Rate,
    Ready,
    SignIn,
}

impl Part {
    /// In the order in which they run.
    const ALL: [(&'static str, Self); 5] = [
        ("cpu", Self::Cpu),
        ("sign-in", Self::SignIn),
        ("rate", Self::Rate),
        ("ready", Self::Ready),
        ("memory", Self::Memory),
    ];

    /// Its name as an argument.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, part)| *part == self).map_or("", |(name, _)| name)
    }
}

/// How much is measured.
pub struct Arguments {
    /// The parts that run.
    pub parts: Vec<Part>,
    /// Rounds of each start.
    pub rounds: usize,
    /// Requests of each round.
    pub requests: usize,
    /// Starts of all Envoys.
    pub starts: usize,
    /// Different sessions, sent in turn.
    pub sessions: usize,
    /// Sign-ins of each round.
    pub sign_ins: usize,
    /// Requests a second, in the open loop.
    pub rates: Vec<usize>,
    /// Seconds at each rate.
    pub seconds: usize,
    /// Requests over which memory may grow.
    pub growth: usize,
    /// Other builds of the filter.
    pub baselines: Vec<PathBuf>,
}

impl Arguments {
    /// The arguments, or what is wrong with one.
    pub fn read() -> Result<Self, String> {
        Ok(Self {
            parts: parts()?,
            rounds: number("ROUNDS", 12)?,
            requests: number("REQUESTS", 1_000)?,
            starts: number("STARTS", 5)?,
            sessions: number("SESSIONS", 10_000)?,
            sign_ins: number("SIGN_INS", 20)?,
            rates: list("RATE", &[2_000, 5_000])?,
            seconds: number("SECONDS", 1)?,
            growth: number("GROWTH", 1_000_000)?,
            baselines: baselines()?,
        })
    }

    /// As they stand above the tables.
    pub fn describe(&self) -> String {
        let rates: Vec<_> = self.rates.iter().map(usize::to_string).collect();
        format!(
            "STARTS={} ROUNDS={} REQUESTS={} SESSIONS={} SIGN_INS={} RATE={} SECONDS={} GROWTH={}",
            self.starts,
            self.rounds,
            self.requests,
            self.sessions,
            self.sign_ins,
            rates.join(","),
            self.seconds,
            self.growth
        )
    }
}

fn parts() -> Result<Vec<Part>, String> {
    let chosen = text("ONLY")?.unwrap_or_default();
    let mut parts = Vec::new();
    for name in chosen.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = Part::ALL.iter().find(|(known, _)| *known == name);
        let Some((_, part)) = known else {
            let names: Vec<_> = Part::ALL.iter().map(|(name, _)| *name).collect();
            return Err(format!("ONLY={chosen}: there is no part {name}, only {}", names.join(", ")));
        };
        parts.push(*part);
    }
    let all = Part::ALL.iter().map(|(_, part)| *part);
    Ok(all.filter(|part| parts.is_empty() || parts.contains(part)).collect())
}

fn number(name: &str, default: usize) -> Result<usize, String> {
    text(name)?.map_or(Ok(default), |text| positive(name, &text))
}

fn list(name: &str, default: &[usize]) -> Result<Vec<usize>, String> {
    let Some(text) = text(name)? else { return Ok(default.to_vec()) };
    text.split(',').map(|number| positive(name, number.trim())).collect()
}

fn positive(name: &str, text: &str) -> Result<usize, String> {
    let number = usize::from_str(text).ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{name}={text}: a number from 1 on is needed, such as {name}=5"))
}

fn baselines() -> Result<Vec<PathBuf>, String> {
    let files: Vec<PathBuf> = env::var_os("VESTIBULE_BASELINES").iter().flat_map(env::split_paths).collect();
    match files.iter().find(|file| !file.is_file()) {
        Some(missing) => Err(format!("VESTIBULE_BASELINES: there is no file {}", missing.display())),
        None => Ok(files),
    }
}

/// The variable, unless it is empty.
fn text(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name}: not UTF-8")),
    }
}
