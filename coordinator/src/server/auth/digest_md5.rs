//! SASL's mechanism DIGEST-MD5 (RFC 2831), the server's side of it, as Java's
//! library speaks it for ZooKeeper: quality of protection `auth`, one realm.
//!
//! Flow: an empty token -> a challenge -> the client's response -> `rspauth`.
//!
//! **Invariant:** pure but for the nonce; a token never panics.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};

use crate::config::Users;

/// The realm, which Java's library takes from the name of the server.
const REALM: &str = "zk-sasl-md5";
const DIGEST_URI: &str = "zookeeper/zk-sasl-md5";
/// A nonce is used once.
const FIRST_COUNT: &str = "00000001";
const NONCE_LEN: usize = 30;

/// Why a login fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::server) enum Error {
    #[error("the login is over")]
    Over,
    #[error("the response is not well formed")]
    Syntax,
    #[error("the response lacks {0} or has another one than expected")]
    Directive(&'static str),
    #[error("no such user, or another password")]
    Credentials,
    #[error("no random numbers")]
    Random,
}

/// What to tell the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) enum Step {
    Challenge(Vec<u8>),
    /// The client is this user; the token proves to it that the server knows too.
    Done {
        user: String,
        token: Vec<u8>,
    },
}

/// One login.
#[derive(Debug, Default)]
pub(in crate::server) struct DigestMd5 {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    New,
    Challenged {
        nonce: String,
    },
    Over,
}

impl DigestMd5 {
    /// Takes the client's next token. After an error the login is over.
    pub(super) fn evaluate(&mut self, token: &[u8], users: &Users) -> Result<Step, Error> {
        match std::mem::replace(&mut self.state, State::Over) {
            // As Java's server: what a client sends before the challenge is nothing.
            State::New => {
                let nonce = nonce()?;
                let challenge =
                    format!("realm=\"{REALM}\",nonce=\"{nonce}\",charset=utf-8,algorithm=md5-sess");
                self.state = State::Challenged { nonce };
                Ok(Step::Challenge(challenge.into_bytes()))
            }
            State::Challenged { nonce } => finish(token, &nonce, users),
            State::Over => Err(Error::Over),
        }
    }
}

fn nonce() -> Result<String, Error> {
    let mut bytes = [0; NONCE_LEN];
    getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(BASE64.encode(bytes))
}

fn finish(token: &[u8], nonce: &str, users: &Users) -> Result<Step, Error> {
    let response = Response::parse(token)?;
    response.expect("nonce", nonce)?;
    response.expect("nc", FIRST_COUNT)?;
    response.expect("realm", REALM)?;
    if !response
        .text("digest-uri")?
        .eq_ignore_ascii_case(DIGEST_URI)
    {
        return Err(Error::Directive("digest-uri"));
    }
    if response.optional("qop").is_some_and(|qop| qop != b"auth") {
        return Err(Error::Directive("qop"));
    }
    let user = response.text("username")?;
    let password = users.password(&user).ok_or(Error::Credentials)?;
    let secret = response.secret(&user, password, nonce)?;
    let uri = response.required("digest-uri")?;
    let expected = response.proof(&secret, nonce, &[b"AUTHENTICATE:", uri])?;
    if !is_same(expected.as_bytes(), response.required("response")?) {
        return Err(Error::Credentials);
    }
    let answer = response.proof(&secret, nonce, &[b":", uri])?;
    Ok(Step::Done {
        token: format!("rspauth={answer}").into_bytes(),
        user,
    })
}

/// The directives of a client's response.
struct Response {
    directives: HashMap<String, Vec<u8>>,
    is_utf8: bool,
}

impl Response {
    fn parse(token: &[u8]) -> Result<Self, Error> {
        let directives = directives(token).ok_or(Error::Syntax)?;
        let charset = directives.get("charset");
        Ok(Self {
            is_utf8: charset.is_some_and(|charset| charset.eq_ignore_ascii_case(b"utf-8")),
            directives,
        })
    }

    fn optional(&self, name: &str) -> Option<&[u8]> {
        self.directives.get(name).map(Vec::as_slice)
    }

    fn required(&self, name: &'static str) -> Result<&[u8], Error> {
        self.optional(name).ok_or(Error::Directive(name))
    }

    /// Without a charset the bytes are those of Latin-1, whose characters are the
    /// first ones of Unicode.
    fn text(&self, name: &'static str) -> Result<String, Error> {
        let bytes = self.required(name)?;
        if !self.is_utf8 {
            return Ok(bytes.iter().map(|byte| char::from(*byte)).collect());
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::Directive(name))
    }

    fn expect(&self, name: &'static str, wanted: &str) -> Result<(), Error> {
        match self.required(name)? == wanted.as_bytes() {
            true => Ok(()),
            false => Err(Error::Directive(name)),
        }
    }

    /// RFC 2831's H(A1), in hexadecimal.
    fn secret(&self, user: &str, password: &str, nonce: &str) -> Result<String, Error> {
        let (user, password) = (latin1_or_utf8(user), latin1_or_utf8(password));
        let identity = md5(&[&user, b":", REALM.as_bytes(), b":", &password]);
        let cnonce = self.required("cnonce")?;
        let authzid = self.optional("authzid");
        let colon: &[u8] = if authzid.is_some() { b":" } else { b"" };
        let a1 = [
            identity.as_slice(),
            b":",
            nonce.as_bytes(),
            b":",
            cnonce,
            colon,
            authzid.unwrap_or_default(),
        ];
        Ok(hex(&md5(&a1)))
    }

    fn proof(&self, secret: &str, nonce: &str, a2: &[&[u8]]) -> Result<String, Error> {
        let a2 = hex(&md5(a2));
        let parts = [
            secret.as_bytes(),
            b":",
            nonce.as_bytes(),
            b":",
            FIRST_COUNT.as_bytes(),
            b":",
            self.required("cnonce")?,
            b":auth:",
            a2.as_bytes(),
        ];
        Ok(hex(&md5(&parts)))
    }
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text that Latin-1 can spell is hashed as Latin-1, whatever the charset.
fn latin1_or_utf8(text: &str) -> Vec<u8> {
    let latin1: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    latin1.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Compares without telling by its time where the difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// `name=value` pairs with commas between them; a value may be quoted. `None` if
/// that is not what they are, or a name comes twice.
fn directives(token: &[u8]) -> Option<HashMap<String, Vec<u8>>> {
    let mut found = HashMap::new();
    let mut left = token.iter().copied().peekable();
    loop {
        while left
            .next_if(|c| c.is_ascii_whitespace() || *c == b',')
            .is_some()
        {}
        if left.peek().is_none() {
            return Some(found);
        }
        let mut name = String::new();
        while let Some(c) = left.next_if(|c| *c != b'=' && *c != b',') {
            name.push(char::from(c.to_ascii_lowercase()));
        }
        left.next_if_eq(&b'=')?;
        let value = match left.next_if_eq(&b'"') {
            Some(_) => quoted(&mut left)?,
            None => std::iter::from_fn(|| left.next_if(|c| *c != b',')).collect::<Vec<u8>>(),
        };
        if found.insert(name.trim_end().to_owned(), value).is_some() {
            return None;
        }
    }
}

fn quoted(left: &mut impl Iterator<Item = u8>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    loop {
        match left.next()? {
            b'"' => return Some(value),
            b'\\' => value.push(left.next()?),
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn users() -> Users {
        let users = [("bob", "secret"), ("Zoë", "pässword€")];
        users
            .map(|(user, password)| (user.into(), password.into()))
            .into_iter()
            .collect()
    }

    /// The response of an honest client.
    fn response(nonce: &str, user: &str, password: &str, extra: &str) -> String {
        let mut parts = format!(
            "charset=utf-8,username=\"{user}\",realm=\"{REALM}\",nonce=\"{nonce}\",nc=00000001,\
             cnonce=\"c0\",digest-uri=\"{DIGEST_URI}\",qop=auth{extra}"
        );
        let parsed = Response::parse(parts.as_bytes()).unwrap();
        let secret = parsed.secret(user, password, nonce).unwrap();
        let a2: [&[u8]; 2] = [b"AUTHENTICATE:", DIGEST_URI.as_bytes()];
        let proof = parsed.proof(&secret, nonce, &a2).unwrap();
        parts.push_str(&format!(",response={proof}"));
        parts
    }

    fn challenged() -> (DigestMd5, String) {
        let mut login = DigestMd5::default();
        let Ok(Step::Challenge(challenge)) = login.evaluate(b"", &users()) else {
            panic!("no challenge");
        };
        let nonce = directives(&challenge).unwrap().remove("nonce").unwrap();
        (login, String::from_utf8(nonce).unwrap())
    }

    /// The example of RFC 2831, section 4, but for realm and URI.
    #[test]
    fn proofs_are_those_of_the_rfc() {
        let response = Response::parse(b"cnonce=\"OA6MHXh6VqTrRk\"").unwrap();
        let identity = md5(&[b"chris:elwood.innosoft.com:secret"]);
        let a1 = md5(&[&identity, b":OA6MG9tEQGm2hh:OA6MHXh6VqTrRk"]);
        let a2: [&[u8]; 1] = [b"AUTHENTICATE:imap/elwood.innosoft.com"];
        let proof = response.proof(&hex(&a1), "OA6MG9tEQGm2hh", &a2).unwrap();
        assert_eq!(proof, "d388dad90d4bbd760a152321f2143af7");
    }

    #[test]
    fn who_knows_the_password_is_let_in_once() {
        for (user, password) in [("bob", "secret"), ("Zoë", "pässword€")] {
            let (mut login, nonce) = challenged();
            let token = response(&nonce, user, password, "");
            let Ok(Step::Done {
                user: found,
                token: answer,
            }) = login.evaluate(token.as_bytes(), &users())
            else {
                panic!("{user}");
            };
            assert_eq!(found, user);
            assert!(answer.starts_with(b"rspauth="));
            assert_eq!(login.evaluate(token.as_bytes(), &users()), Err(Error::Over));
        }
        let (mut login, nonce) = challenged();
        let token = response(&nonce, "bob", "secret", ",authzid=\"bob\"");
        assert!(login.evaluate(token.as_bytes(), &users()).is_ok());
    }

    #[test]
    fn everybody_else_is_not() {
        type Change = fn(String) -> String;
        let table: [(Change, Error); 6] = [
            (|r| r.replace("\"c0\"", "\"c1\""), Error::Credentials),
            (|r| r.replace("bob", "eve"), Error::Credentials),
            (
                |r| r.replace("nc=00000001", "nc=00000002"),
                Error::Directive("nc"),
            ),
            (
                |r| r.replace("qop=auth", "qop=auth-int"),
                Error::Directive("qop"),
            ),
            (
                |r| r.replace("zookeeper/", "kafka/"),
                Error::Directive("digest-uri"),
            ),
            (|r| format!("{r},nc=1"), Error::Syntax),
        ];
        for (change, expected) in table {
            let (mut login, nonce) = challenged();
            let token = change(response(&nonce, "bob", "secret", ""));
            assert_eq!(
                login.evaluate(token.as_bytes(), &users()),
                Err(expected),
                "{token}"
            );
        }
        let (mut login, nonce) = challenged();
        let token = response(&nonce, "bob", "wrong", "");
        assert_eq!(
            login.evaluate(token.as_bytes(), &users()),
            Err(Error::Credentials)
        );
        let (mut login, _) = challenged();
        let old = response("another", "bob", "secret", "");
        assert_eq!(
            login.evaluate(old.as_bytes(), &users()),
            Err(Error::Directive("nonce"))
        );
        let challenge = DigestMd5::default().evaluate(b"hello", &users());
        assert!(matches!(challenge, Ok(Step::Challenge(_))));
    }

    proptest! {
        #[test]
        fn no_token_makes_it_panic(token in any::<Vec<u8>>()) {
            let (mut login, _) = challenged();
            prop_assert!(login.evaluate(&token, &users()).is_err());
        }
    }
}
