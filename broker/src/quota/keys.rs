//! The keys of quotas in `/config/{users,clients,ips}`, and their values.

/// Bytes per second that clients may produce.
pub const PRODUCER_BYTE_RATE: &str = "producer_byte_rate";
/// Bytes per second that clients may fetch.
pub const CONSUMER_BYTE_RATE: &str = "consumer_byte_rate";
/// Per cent of one thread that requests may take.
pub const REQUEST_PERCENTAGE: &str = "request_percentage";
/// Partitions per second that may be created or deleted.
pub const CONTROLLER_MUTATION_RATE: &str = "controller_mutation_rate";
/// Connections per second that an address may open.
pub const CONNECTION_CREATION_RATE: &str = "connection_creation_rate";

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Int,
    Long,
    Double,
}

impl Form {
    fn as_str(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
        }
    }
}

/// One key with the form of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaKey {
    pub name: &'static str,
    form: Form,
    /// Kafka refuses less where it stores the value, not where it is asked.
    is_never_negative: bool,
}

const fn key(name: &'static str, form: Form) -> QuotaKey {
    QuotaKey {
        name,
        form,
        is_never_negative: matches!(form, Form::Int),
    }
}

/// The keys of users and clients.
pub const OF_CLIENTS: &[QuotaKey] = &[
    key(PRODUCER_BYTE_RATE, Form::Long),
    key(CONSUMER_BYTE_RATE, Form::Long),
    key(REQUEST_PERCENTAGE, Form::Double),
    key(CONTROLLER_MUTATION_RATE, Form::Double),
];

/// The keys of addresses.
pub const OF_IPS: &[QuotaKey] = &[key(CONNECTION_CREATION_RATE, Form::Int)];

/// The key of this name among `keys`.
#[must_use]
pub fn lookup(keys: &'static [QuotaKey], name: &str) -> Option<&'static QuotaKey> {
    keys.iter().find(|key| key.name == name)
}

/// A number that this key cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Configuration {name} must be a {form} value")]
pub struct Invalid {
    name: &'static str,
    form: &'static str,
}

impl QuotaKey {
    /// The text that is stored for `value`, as Java writes such numbers.
    pub fn text_of(&self, value: f64) -> Result<String, Invalid> {
        /// By how much a whole number may be missed.
        const EPSILON: f64 = 1e-6;
        #[allow(clippy::cast_possible_truncation)]
        let whole = match self.form {
            Form::Double => return Ok(java_double(value)),
            // `as` saturates, and makes 0 of what is no number, as in Java.
            Form::Long => (value + EPSILON) as i64,
            Form::Int => i64::from((value + EPSILON) as i32),
        };
        let missed = (whole as f64 - value).abs();
        if missed > EPSILON {
            return Err(Invalid {
                name: self.name,
                form: self.form.as_str(),
            });
        }
        Ok(whole.to_string())
    }

    /// Says whether `text`, as stored, is a value of this key.
    #[must_use]
    pub fn allows(&self, text: &str) -> bool {
        let text = text.trim();
        match self.form {
            Form::Double => parse(text).is_some(),
            Form::Long => text.parse::<i64>().is_ok(),
            Form::Int => text
                .parse::<i32>()
                .is_ok_and(|value| value >= 0 || !self.is_never_negative),
        }
    }

    /// The value of a stored text.
    #[must_use]
    pub fn value_of(text: &str) -> Option<f64> {
        parse(text.trim())
    }
}

/// A number as Java's `Double.parseDouble` reads it, but for its hexadecimal form.
fn parse(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        "NaN" | "Infinity" => text.replace("Infinity", "inf").parse().ok(),
        // What Rust reads beyond Java.
        _ if unsigned.starts_with(|c: char| c.is_ascii_alphabetic()) => None,
        _ => text.trim_end_matches(['d', 'D', 'f', 'F']).parse().ok(),
    }
}

/// As `Double.toString`: plain between a thousandth and ten million, otherwise
/// with an exponent, and always with a digit behind the point.
fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.001, "0.001"),
            (0.0005, "5.0E-4"),
            (50.25, "50.25"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (12_345_678.5, "1.23456785E7"),
            (2_147_483_647.0, "2.147483647E9"),
            (-1e300, "-1.0E300"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(java_double(value), text);
            assert_eq!(parse(text), Some(value));
        }
        assert_eq!(java_double(f64::NAN), "NaN");
    }

    #[test]
    fn whole_numbers_are_whole() {
        let rate = lookup(OF_CLIENTS, PRODUCER_BYTE_RATE).unwrap();
        assert_eq!(rate.text_of(1024.0).unwrap(), "1024");
        assert_eq!(rate.text_of(0.999_999_5).unwrap(), "1");
        assert!(rate.text_of(1e30).is_err());
        let refused = rate.text_of(1.5).unwrap_err().to_string();
        assert_eq!(
            refused,
            "Configuration producer_byte_rate must be a LONG value"
        );
        let rate = lookup(OF_IPS, CONNECTION_CREATION_RATE).unwrap();
        // What is added is cut off towards zero, so no negative number passes.
        assert!(rate.text_of(-3.0).is_err());
        assert!(rate.text_of(2_147_483_648.0).is_err());
        assert!(!rate.allows("-3") && rate.allows("3") && !rate.allows("3.0"));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "x", "inf", "nan", "1e", "1_0"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("1e3"), Some(1000.0));
        assert_eq!(parse("7d"), Some(7.0));
    }
}
