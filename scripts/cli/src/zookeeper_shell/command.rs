//! The commands of the shell: reading them from words. Pure.

/// What to do with one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Ls {
        path: String,
        stat: bool,
        recursive: bool,
    },
    Get {
        path: String,
        stat: bool,
    },
    Stat {
        path: String,
    },
    Create {
        path: String,
        data: Option<String>,
        ephemeral: bool,
        sequential: bool,
        container: bool,
    },
    Delete {
        path: String,
        version: i32,
    },
    DeleteAll {
        path: String,
    },
    Set {
        path: String,
        data: String,
        stat: bool,
        version: i32,
    },
    Help,
    Quit,
}

/// Why words are no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    Unknown,
    /// The command's own usage line.
    Usage(&'static str),
}

const ANY_VERSION: i32 = -1;

/// Every command with its usage, in the order of `help`.
pub(super) const USAGES: [(&str, &str); 9] = [
    ("create", "create [-s] [-e] [-c] path [data]"),
    ("delete", "delete [-v version] path"),
    ("deleteall", "deleteall path"),
    ("get", "get [-s] [-w] path"),
    ("help", "help"),
    ("ls", "ls [-s] [-w] [-R] path"),
    ("quit", "quit"),
    ("set", "set [-s] [-v version] path data"),
    ("stat", "stat [-w] path"),
];

/// Reads a command; `Ok(None)` for no words at all.
pub(super) fn parse(words: &[String]) -> Result<Option<Command>, Refused> {
    let Some((name, rest)) = words.split_first() else {
        return Ok(None);
    };
    let name = if name == "rmr" { "deleteall" } else { name };
    let known = USAGES.iter().find(|(known, _)| *known == name);
    let (_, usage) = known.ok_or(Refused::Unknown)?;
    build(name, rest).map(Some).ok_or(Refused::Usage(usage))
}

/// Flags, the version, and what is left.
struct Words {
    flags: Vec<char>,
    version: i32,
    rest: Vec<String>,
}

impl Words {
    fn split(words: &[String], allowed: &str) -> Option<Self> {
        let mut split = Self {
            flags: Vec::new(),
            version: ANY_VERSION,
            rest: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix('-').filter(|_| split.rest.is_empty()) {
                Some("v") if allowed.contains('v') => split.version = words.next()?.parse().ok()?,
                Some(flag) => {
                    let flag = Some(flag).filter(|flag| flag.len() == 1)?.chars().next()?;
                    allowed.contains(flag).then(|| split.flags.push(flag))?;
                }
                None => split.rest.push(word.clone()),
            }
        }
        Some(split)
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }
}

fn build(name: &str, words: &[String]) -> Option<Command> {
    let allowed = match name {
        "ls" => "swR",
        "get" => "sw",
        "stat" => "w",
        "create" => "sec",
        "set" => "sv",
        "delete" => "v",
        _ => "",
    };
    let words = Words::split(words, allowed)?;
    let path = || words.rest.first().cloned();
    Some(match name {
        "ls" => Command::Ls {
            path: path()?,
            stat: words.has('s'),
            recursive: words.has('R'),
        },
        "get" => Command::Get {
            path: path()?,
            stat: words.has('s'),
        },
        "stat" => Command::Stat { path: path()? },
        "create" => Command::Create {
            path: path()?,
            data: words.rest.get(1).cloned(),
            ephemeral: words.has('e'),
            sequential: words.has('s'),
            container: words.has('c'),
        },
        "delete" => Command::Delete {
            path: path()?,
            version: words.version,
        },
        "deleteall" => Command::DeleteAll { path: path()? },
        "set" => Command::Set {
            path: path()?,
            data: words.rest.get(1).cloned()?,
            stat: words.has('s'),
            version: words.version,
        },
        "help" => Command::Help,
        _ => Command::Quit,
    })
}

/// Splits a line at spaces; quotes keep a word together.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            (letter, Some(_)) => word.get_or_insert_default().push(letter),
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, None) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Command>, Refused> {
        parse(&words(line))
    }

    #[test]
    fn commands() {
        let path = || "/a".to_owned();
        assert_eq!(read("").unwrap(), None);
        assert_eq!(
            read("ls -s -R /a").unwrap(),
            Some(Command::Ls {
                path: path(),
                stat: true,
                recursive: true
            })
        );
        assert_eq!(
            read("set -v 3 /a 'x y'").unwrap(),
            Some(Command::Set {
                path: path(),
                data: "x y".to_owned(),
                stat: false,
                version: 3
            })
        );
        assert_eq!(
            read("delete /a").unwrap(),
            Some(Command::Delete {
                path: path(),
                version: -1
            })
        );
        let create = read("create -e -s /a -1").unwrap();
        assert!(
            matches!(create, Some(Command::Create { data: Some(data), ephemeral: true, sequential: true, .. }) if data == "-1")
        );
    }

    #[test]
    fn what_is_no_command() {
        assert_eq!(read("nope /a"), Err(Refused::Unknown));
        assert_eq!(read("ls"), Err(Refused::Usage("ls [-s] [-w] [-R] path")));
        assert_eq!(read("get -x /a"), Err(Refused::Usage("get [-s] [-w] path")));
        assert_eq!(
            read("set /a"),
            Err(Refused::Usage("set [-s] [-v version] path data"))
        );
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            words(r#"set /a "{\"x\": 1}" ''"#),
            ["set", "/a", "{\\x\\: 1}", ""]
        );
        assert_eq!(words("a  b\t'c d'e"), ["a", "b", "c de"]);
    }
}
