//! What an operator wrote, looked at as a whole: names as ZooKeeper spells them in
//! other places, the members of an ensemble, and what would be silently missing.
//!
//! **Invariant:** a file that a single ZooKeeper server starts with is refused only
//! if something that protects data or access would be missing.

use std::path::Path;

use common::config::{Origin, Properties, Values};

use super::Error;
use super::keys::{KEYS, NO_EFFECT, ignored::FAMILIES};

/// Keys (or the beginnings of keys) whose absence clients or operators would only
/// notice too late, with the values that ask for nothing.
const NOT_SERVED: [(&str, &[&str], &str); 2] = [
    ("secureClientPort", &[], "TLS is not served yet"),
    (
        "client.portUnification",
        &["false"],
        "TLS is not served yet",
    ),
];

/// Keys that ask for TLS on the admin port, which then stays closed.
const ADMIN_TLS: [&str; 3] = [
    "admin.forceHttps",
    "admin.needClientAuth",
    "admin.portUnification",
];

/// Keys that change nothing here, and whose `true` was meant to change something.
const MISSING: [(&str, &str); 2] = [
    ("audit.enable", "there is no audit log yet"),
    (
        "IPAuthenticationProvider.usexforwardedfor",
        "nobody's address is taken from a header",
    ),
];

/// What is left to be looked at key by key, and what the operator should know.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) properties: Properties,
    /// What changes something that the operator did not ask for.
    pub(super) warnings: Vec<String>,
    /// Keys without effect, with their file.
    pub(super) without_effect: Vec<(String, Origin)>,
}

pub(super) fn read(all: &Properties) -> Result<Written, Error> {
    let mut written = Written::default();
    let mut members = Members::default();
    let mut no_admin = None;
    for (key, value, origin) in all.iter() {
        let key = plain(key);
        refuse_not_served(key, value, origin)?;
        let wanted = value.eq_ignore_ascii_case("true");
        if key == "dynamicConfigFile" && !value.is_empty() {
            let members_file = Properties::load(Path::new(value))?;
            for (key, value, origin) in members_file.iter() {
                members.add(key, value, origin)?;
            }
        } else if is_member(key) {
            members.add(key, value, origin)?;
        } else if ADMIN_TLS.contains(&key) {
            if wanted {
                let why = "TLS is not served yet, so there is no admin port";
                written
                    .warnings
                    .push(format!("{origin}: {key}={value}: {why}"));
                no_admin = Some(origin.clone());
            }
        } else if FAMILIES.iter().any(|family| key.starts_with(family)) {
            let noted = (key.to_owned(), origin.clone());
            written.without_effect.push(noted);
        } else {
            let missing = MISSING.iter().find(|(name, _)| *name == key && wanted);
            if let Some((_, why)) = missing {
                written
                    .warnings
                    .push(format!("{origin}: {key}={value}: {why}"));
            }
            written.set(key, &decimal(value), origin);
        }
    }
    members.end(&mut written);
    if let Some(origin) = no_admin {
        written
            .properties
            .set("admin.enableServer", "false", origin);
    }
    Ok(written)
}

impl Written {
    /// One key may stand there with its prefix and without; the command line wins.
    fn set(&mut self, key: &str, value: &str, origin: &Origin) {
        let before = self.properties.origin(key);
        if before != Some(&Origin::CommandLine) || *origin == Origin::CommandLine {
            self.properties.set(key, value, origin.clone());
        }
    }
}

/// System properties are written with their prefix where flags of a JVM are
/// listed, and without it in `zoo.cfg`.
fn plain(key: &str) -> &str {
    key.strip_prefix("zookeeper.").unwrap_or(key)
}

/// Numbers of system properties may be hexadecimal; `jute.maxbuffer` often is.
fn decimal(value: &str) -> String {
    let digits = value
        .strip_prefix("0x")
        .or_else(|| value.strip_prefix("0X"));
    match digits.map(|digits| i64::from_str_radix(digits, 16)) {
        Some(Ok(number)) => number.to_string(),
        _ => value.to_owned(),
    }
}

fn refuse_not_served(key: &str, value: &str, origin: &Origin) -> Result<(), Error> {
    let found = NOT_SERVED.iter().find(|(name, harmless, _)| {
        let named = key == *name || (name.ends_with('.') && key.starts_with(name));
        named && !harmless.iter().any(|v| v.eq_ignore_ascii_case(value))
    });
    match found {
        None => Ok(()),
        Some((_, _, problem)) => Err(problem_of(key, value, origin, problem)),
    }
}

fn problem_of(key: &str, value: &str, origin: &Origin, problem: &'static str) -> Error {
    Error::Problem {
        origin: origin.clone(),
        key: key.to_owned(),
        value: value.to_owned(),
        problem,
    }
}

/// The servers of an ensemble. One alone is a single server.
#[derive(Debug, Default)]
struct Members {
    first: Option<(String, Origin)>,
    client_port: Option<(String, Origin)>,
}

fn is_member(key: &str) -> bool {
    let families = ["server.", "group.", "weight."];
    families.iter().any(|family| key.starts_with(family))
}

impl Members {
    fn add(&mut self, key: &str, value: &str, origin: &Origin) -> Result<(), Error> {
        if !key.starts_with("server.") {
            return Ok(());
        }
        let (peers, client) = value
            .split_once(';')
            .map_or((value, None), |(peers, client)| {
                (peers, Some(client.trim()))
            });
        if peers.to_ascii_lowercase().contains(":observer") {
            let problem = "a single server cannot be an observer, and ensembles are not served yet";
            return Err(problem_of(key, value, origin, problem));
        }
        if self.first.is_some() {
            let problem = "this is the configuration of an ensemble, which is not served yet; \
                           leave one server.N line, or none, to run a single server";
            return Err(problem_of(key, value, origin, problem));
        }
        self.first = Some((key.to_owned(), origin.clone()));
        // host:2888:3888[:role];[address:]clientPort
        self.client_port = client.map(|client| (client.to_owned(), origin.clone()));
        Ok(())
    }

    fn end(self, written: &mut Written) {
        written.without_effect.extend(self.first);
        let Some((client, origin)) = self.client_port else {
            return;
        };
        let (address, port) = match client.rsplit_once(':') {
            Some((address, port)) => (Some(address), port),
            None => (None, client.as_str()),
        };
        let properties = &mut written.properties;
        if properties.get("clientPort").is_none() {
            properties.set("clientPort", port, origin.clone());
        }
        if let Some(address) = address
            && properties.get("clientPortAddress").is_none()
        {
            let address = address.trim_matches(['[', ']']);
            properties.set("clientPortAddress", address, origin);
        }
    }
}

/// One note about all the keys that were written and change nothing.
pub(super) fn without_effect(values: &Values, others: &[(String, Origin)]) -> Option<String> {
    let known = KEYS
        .iter()
        .filter(|key| key.doc == NO_EFFECT && values.is_set(key.name));
    let mut names: Vec<&str> = known.map(|key| key.name).collect();
    names.extend(others.iter().map(|(name, _)| name.as_str()));
    names.sort_unstable();
    (!names.is_empty()).then(|| format!("accepted without effect: {}", names.join(", ")))
}
