//! The JSON files that tools of Kafka read: lists of partitions under a version.
//!
//! **Invariant:** what is missing or of another type is named in the words of
//! Kafka's tools, never guessed.

use serde_json::Value;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("Unable to read file {0}")]
    Unreadable(String),
    #[error("{0}")]
    Invalid(&'static str),
    #[error("No such field exists: `{0}`")]
    Missing(&'static str),
    #[error("Expected `{expected}` value, received {found}")]
    Type {
        expected: &'static str,
        found: String,
    },
    #[error("Not supported version field value {0}")]
    Version(i64),
}

/// Reads the whole file.
pub(crate) fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|_| Error::Unreadable(path.to_owned()))
}

/// The value of `text`, whose `version` (1 if absent) must be one.
pub(crate) fn parse(text: &str, invalid: &'static str) -> Result<Value, Error> {
    let value: Value = serde_json::from_str(text).map_err(|_| Error::Invalid(invalid))?;
    if !value.is_object() {
        return Err(Error::Type {
            expected: "Object",
            found: value.to_string(),
        });
    }
    match value.get("version").map(integer).transpose()? {
        None | Some(1) => Ok(value),
        Some(version) => Err(Error::Version(version)),
    }
}

/// The list under `name`.
pub(crate) fn list<'a>(of: &'a Value, name: &'static str) -> Result<&'a Vec<Value>, Error> {
    let value = field(of, name)?;
    value.as_array().ok_or_else(|| mismatch("Array", value))
}

pub(crate) fn text(of: &Value, name: &'static str) -> Result<String, Error> {
    let value = field(of, name)?;
    let text = value.as_str().ok_or_else(|| mismatch("String", value))?;
    Ok(text.to_owned())
}

pub(crate) fn i64(of: &Value, name: &'static str) -> Result<i64, Error> {
    integer(field(of, name)?)
}

pub(crate) fn i32(of: &Value, name: &'static str) -> Result<i32, Error> {
    let value = field(of, name)?;
    let number = integer(value)?;
    i32::try_from(number).map_err(|_| mismatch("Integer", value))
}

fn integer(value: &Value) -> Result<i64, Error> {
    value.as_i64().ok_or_else(|| mismatch("Integer", value))
}

fn field<'a>(of: &'a Value, name: &'static str) -> Result<&'a Value, Error> {
    of.get(name).ok_or(Error::Missing(name))
}

fn mismatch(expected: &'static str, found: &Value) -> Error {
    Error::Type {
        expected,
        found: found.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_types_and_a_version() {
        let value = parse(
            r#"{"partitions":[{"topic":"a","partition":1,"offset":-1}]}"#,
            "bad",
        );
        let value = value.unwrap();
        let first = &list(&value, "partitions").unwrap()[0];
        assert_eq!(text(first, "topic"), Ok("a".to_owned()));
        assert_eq!(
            (i32(first, "partition"), i64(first, "offset")),
            (Ok(1), Ok(-1))
        );
        assert_eq!(text(first, "x"), Err(Error::Missing("x")));
        assert!(text(first, "partition").is_err());
        assert_eq!(parse("nonsense", "bad"), Err(Error::Invalid("bad")));
        assert_eq!(parse(r#"{"version":2}"#, "bad"), Err(Error::Version(2)));
        assert!(parse("[]", "bad").is_err());
    }
}
