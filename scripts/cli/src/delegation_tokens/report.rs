//! Tokens as lines. Pure.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::client::tokens::{Principal, Token};
use crate::console;

/// `[User:a, User:b]`.
pub(super) fn list(principals: &[Principal]) -> String {
    let names: Vec<String> = principals.iter().map(ToString::to_string).collect();
    format!("[{}]", names.join(", "))
}

/// `2026-11-21T12:29`, in UTC.
pub(super) fn date(wall_ms: i64) -> String {
    let stamp = console::timestamp(wall_ms);
    stamp.get(..16).unwrap_or_default().replace(' ', "T")
}

/// A header and a line for each token, each behind an empty line as in Kafka.
pub(super) fn table(tokens: &[Token]) -> String {
    const HEADER: [&str; 8] = [
        "TOKENID",
        "HMAC",
        "OWNER",
        "REQUESTER",
        "RENEWERS",
        "ISSUEDATE",
        "EXPIRYDATE",
        "MAXDATE",
    ];
    let mut text = line(&HEADER.map(str::to_owned));
    for token in tokens {
        text += &line(&[
            token.id.clone(),
            BASE64_STANDARD.encode(&token.hmac),
            token.owner.to_string(),
            token.requester.to_string(),
            list(&token.renewers),
            date(token.issued_ms),
            date(token.expires_ms),
            date(token.ends_ms),
        ]);
    }
    text
}

fn line(cells: &[String; 8]) -> String {
    const WIDTHS: [usize; 8] = [15, 30, 15, 15, 25, 15, 15, 15];
    let mut text = String::from("\n");
    for (index, (cell, width)) in cells.iter().zip(WIDTHS).enumerate() {
        let blank = if index > 0 { " " } else { "" };
        let _ = write!(text, "{blank}{cell:<width$}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_token_as_kafka_prints_it() {
        let user = |name: &str| Principal {
            kind: "User".to_owned(),
            name: name.to_owned(),
        };
        let token = Token {
            id: "id".to_owned(),
            hmac: Bytes::from_static(b"secret"),
            owner: user("a"),
            requester: user("b"),
            renewers: vec![user("c"), user("d")],
            issued_ms: 1_795_264_144_871,
            expires_ms: 0,
            ends_ms: 951_782_400_123,
        };
        let table = table(&[token]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[1].starts_with("TOKENID         HMAC                           OWNER "));
        let words: Vec<&str> = lines[3].split_whitespace().collect();
        assert_eq!(
            words,
            [
                "id",
                "c2VjcmV0",
                "User:a",
                "User:b",
                "[User:c,",
                "User:d]",
                "2026-11-21T12:29",
                "1970-01-01T00:00",
                "2000-02-29T00:00"
            ]
        );
    }
}
