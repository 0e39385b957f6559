//! The configuration as operators are shown it, without its secrets.

use common::config::{Kind, Origin, Properties, Values};
use serde::Serialize;

use super::keys::{KEYS, NO_EFFECT};

/// What stands for a value that nobody is shown.
const HIDDEN: &str = "[hidden]";

/// One key, its value, and where that comes from.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    pub key: &'static str,
    pub value: Option<String>,
    pub default: Option<&'static str>,
    /// `default`, or the file, or the command line.
    pub source: String,
    pub doc: &'static str,
}

/// Every key that has an effect, in the order of the table.
pub(super) fn all(values: &Values) -> Vec<Setting> {
    let effective = KEYS.iter().filter(|key| key.doc != NO_EFFECT);
    let setting = effective.map(|key| Setting {
        key: key.name,
        value: values.opt_str(key.name).map(|value| match key.kind {
            Kind::Password => HIDDEN.to_owned(),
            _ => value.to_owned(),
        }),
        default: key.default,
        source: match values.origin(key.name) {
            None => "default".to_owned(),
            Some(Origin::CommandLine) => "command line".to_owned(),
            Some(Origin::File(path)) => path.display().to_string(),
        },
        doc: key.doc,
    });
    setting.collect()
}

/// What was written, a line for each key.
pub(super) fn as_written(properties: &Properties) -> String {
    let lines = properties.iter().map(|(key, value, _)| {
        let value = if is_secret(key) { HIDDEN } else { value };
        format!("{key}={value}\n")
    });
    lines.collect()
}

/// By its name too: a key that is not known here may be a misspelt secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = ["passw", "superdigest", "secret"];
    words.iter().any(|word| key.contains(word))
}
