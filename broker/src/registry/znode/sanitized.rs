//! Names of users and clients as names of znodes: form encoding, as Kafka's
//! `Sanitizer` does it.

/// `name` with everything but letters, digits, `.`, `-` and `_` as `%XX`.
#[must_use]
pub fn sanitize(name: &str) -> String {
    let mut sanitized = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                sanitized.push(char::from(byte));
            }
            other => sanitized.push_str(&format!("%{other:02X}")),
        }
    }
    sanitized
}

/// The name that was sanitised; `None` when it is not one (`%` without two
/// hexadecimal digits).
#[must_use]
pub fn desanitize(sanitized: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(sanitized.len());
    let mut rest = sanitized.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_there_and_back() {
        for (name, node) in [
            ("alice", "alice"),
            ("A.b-c_9", "A.b-c_9"),
            ("CN=a b,O=*", "CN%3Da%20b%2CO%3D%2A"),
            ("<default>", "%3Cdefault%3E"),
            ("ä/~", "%C3%A4%2F%7E"),
        ] {
            assert_eq!(sanitize(name), node);
            assert_eq!(desanitize(node).as_deref(), Some(name));
        }
        assert_eq!(desanitize("a+b").as_deref(), Some("a b"));
        for broken in ["%", "%4", "%zz", "a%+1"] {
            assert_eq!(desanitize(broken), None, "{broken}");
        }
    }
}
