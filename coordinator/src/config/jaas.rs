//! Users and passwords from a JAAS file, the form that ZooKeeper's servers read:
//!
//! ```text
//! Server {
//!     org.apache.zookeeper.server.auth.DigestLoginModule required
//!     user_kafka="secret";
//! };
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DIGEST_MODULE: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";
const USER_PREFIX: &str = "user_";

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}, line {line}: expected {expected}")]
    Syntax {
        path: PathBuf,
        line: usize,
        expected: &'static str,
    },
    #[error("{path}: the login module {module} is not served, only {DIGEST_MODULE}")]
    Module { path: PathBuf, module: String },
}

/// The users of a section with their passwords; `None` if there is no such section.
pub(super) fn load(path: &Path, section: &str) -> Result<Option<Users>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let sections = Parser::new(path, &text).sections()?;
    let Some(found) = sections.into_iter().find(|found| found.name == section) else {
        return Ok(None);
    };
    if found.module != DIGEST_MODULE {
        return Err(Error::Module {
            path: path.to_owned(),
            module: found.module,
        });
    }
    let users = found.options.into_iter().filter_map(|(name, password)| {
        let user = name.strip_prefix(USER_PREFIX)?;
        Some((user.to_owned(), password))
    });
    Ok(Some(users.collect()))
}

/// Users with their passwords, which it does not show.
#[derive(Clone, Default)]
pub struct Users(BTreeMap<String, String>);

impl Users {
    pub(crate) fn password(&self, user: &str) -> Option<&str> {
        self.0.get(user).map(String::as_str)
    }

    /// Gives a user that there is another password.
    pub(super) fn replace_password(&mut self, user: &str, password: &str) {
        if let Some(known) = self.0.get_mut(user) {
            *known = password.to_owned();
        }
    }
}

impl FromIterator<(String, String)> for Users {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(users: T) -> Self {
        Self(users.into_iter().collect())
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

struct Section {
    name: String,
    module: String,
    options: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(char),
    End,
}

struct Parser<'a> {
    path: &'a Path,
    left: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl<'a> Parser<'a> {
    fn new(path: &'a Path, text: &'a str) -> Self {
        Self {
            path,
            left: text.chars().peekable(),
            line: 1,
        }
    }

    fn sections(mut self) -> Result<Vec<Section>, Error> {
        let mut sections = Vec::new();
        loop {
            match self.token()? {
                Token::End => return Ok(sections),
                Token::Word(name) => sections.push(self.section(name)?),
                Token::Sign(_) => return Err(self.expected("the name of a section")),
            }
        }
    }

    /// What follows the name; of several modules the first one counts.
    fn section(&mut self, name: String) -> Result<Section, Error> {
        self.sign('{', "{ after the name of a section")?;
        let mut first = None;
        loop {
            match self.token()? {
                Token::Sign('}') => break,
                Token::Word(module) => {
                    let options = self.module()?;
                    first.get_or_insert((module, options));
                }
                _ => return Err(self.expected("a login module or }")),
            }
        }
        self.sign(';', "; after }")?;
        let (module, options) = first.ok_or_else(|| self.expected("a login module"))?;
        Ok(Section {
            name,
            module,
            options,
        })
    }

    /// The flag and the options of a module, up to its semicolon.
    fn module(&mut self) -> Result<Vec<(String, String)>, Error> {
        let Token::Word(_flag) = self.token()? else {
            return Err(self.expected("a flag such as required"));
        };
        let mut options = Vec::new();
        loop {
            match self.token()? {
                Token::Sign(';') => return Ok(options),
                Token::Word(name) => {
                    self.sign('=', "= after the name of an option")?;
                    let Token::Word(value) = self.token()? else {
                        return Err(self.expected("the value of an option"));
                    };
                    options.push((name, value));
                }
                _ => return Err(self.expected("an option or ;")),
            }
        }
    }

    fn sign(&mut self, wanted: char, expected: &'static str) -> Result<(), Error> {
        match self.token()? {
            Token::Sign(found) if found == wanted => Ok(()),
            _ => Err(self.expected(expected)),
        }
    }

    fn token(&mut self) -> Result<Token, Error> {
        self.skip_space_and_comments()?;
        let Some(first) = self.next() else {
            return Ok(Token::End);
        };
        match first {
            '{' | '}' | ';' | '=' => Ok(Token::Sign(first)),
            '"' => self.quoted(),
            _ => {
                let mut word = String::from(first);
                while let Some(c) = self.left.next_if(|c| !is_end_of_word(*c)) {
                    word.push(c);
                }
                Ok(Token::Word(word))
            }
        }
    }

    fn quoted(&mut self) -> Result<Token, Error> {
        let mut word = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(Token::Word(word)),
                Some('\\') => match self.next() {
                    Some('n') => word.push('\n'),
                    Some('t') => word.push('\t'),
                    Some(c) => word.push(c),
                    None => return Err(self.expected("a closing quote")),
                },
                Some('\n') | None => return Err(self.expected("a closing quote")),
                Some(c) => word.push(c),
            }
        }
    }

    fn skip_space_and_comments(&mut self) -> Result<(), Error> {
        loop {
            let Some(first) = self.left.peek().copied() else {
                return Ok(());
            };
            if first.is_whitespace() {
                self.next();
            } else if first == '#' {
                self.skip_line();
            } else if first == '/' {
                self.next();
                match self.next() {
                    Some('/') => self.skip_line(),
                    Some('*') => self.skip_block()?,
                    _ => return Err(self.expected("a comment after /")),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    fn skip_block(&mut self) -> Result<(), Error> {
        loop {
            match self.next() {
                Some('*') if self.left.peek() == Some(&'/') => {
                    self.next();
                    return Ok(());
                }
                Some(_) => {}
                None => return Err(self.expected("the end of a comment")),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.left.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn expected(&self, expected: &'static str) -> Error {
        Error::Syntax {
            path: self.path.to_owned(),
            line: self.line,
            expected,
        }
    }
}

fn is_end_of_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | ';' | '=' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, section: &str) -> Result<Option<Users>, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jaas.conf");
        std::fs::write(&path, text).unwrap();
        load(&path, section)
    }

    #[test]
    fn users_of_a_section_are_found() {
        let text = r#"
            // of Kafka's own documentation
            Client { com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true; };
            Server {
               org.apache.zookeeper.server.auth.DigestLoginModule required
               user_super="admin \"secret\""  /* the boss */
               user_kafka = plain
               debug=true;
            };
        "#;
        let users = parse(text, "Server").unwrap().unwrap();
        let expected = [("kafka", "plain"), ("super", "admin \"secret\"")];
        for (user, password) in expected {
            assert_eq!(users.password(user), Some(password));
        }
        assert_eq!(format!("{users:?}"), r#"{"kafka", "super"}"#);
        assert!(parse(text, "Other").unwrap().is_none());
        let kerberos = parse(text, "Client").unwrap_err();
        assert!(
            kerberos
                .to_string()
                .contains("Krb5LoginModule is not served")
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line) in [
            ("Server", 1),
            ("Server {\n};", 2),
            ("Server {\n M required\n user_a=\"x\n\";};", 4),
            ("Server { M required user_a; };", 1),
            ("Server { M required user_a=b; }\n", 2),
            ("/* Server", 1),
        ] {
            let Err(Error::Syntax { line: found, .. }) = parse(text, "Server") else {
                panic!("{text}");
            };
            assert_eq!(found, line, "{text}");
        }
        assert!(matches!(
            load(Path::new("/no/such/file"), "S"),
            Err(Error::Io { .. })
        ));
    }
}
