//! Which strings are paths of nodes, and how a path splits.

/// Why a string is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a path is not empty")]
    Empty,
    #[error("a path starts with /")]
    NotAbsolute,
    #[error("a path does not end with /")]
    TrailingSlash,
    #[error("a component of a path is not empty")]
    EmptyComponent,
    #[error("a path is not relative")]
    Relative,
    #[error("character U+{0:04X} is not allowed in a path")]
    BadCharacter(u32),
}

/// ZooKeeper's rules, which it states over UTF-16 units: characters outside the
/// basic plane are therefore refused, as is the private use area below U+F8FF.
pub fn validate(path: &str) -> Result<(), Error> {
    if path.is_empty() {
        return Err(Error::Empty);
    }
    if !path.starts_with('/') {
        return Err(Error::NotAbsolute);
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(Error::TrailingSlash);
    }
    for component in path[1..].split('/') {
        match component {
            "" => return Err(Error::EmptyComponent),
            "." | ".." => return Err(Error::Relative),
            _ => {}
        }
        if let Some(c) = component.chars().find(|c| !is_allowed(*c)) {
            return Err(Error::BadCharacter(u32::from(c)));
        }
    }
    Ok(())
}

/// As [`validate`], for a path to which a sequence number will be appended, so
/// that it may end with `/`.
pub fn validate_sequential(path: &str) -> Result<(), Error> {
    let mut with_digit = String::with_capacity(path.len() + 1);
    with_digit.push_str(path);
    with_digit.push('1');
    validate(&with_digit)
}

fn is_allowed(c: char) -> bool {
    !matches!(
        c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..
    )
}

/// The path of the parent, "/" for the children of the root; `None` if `path`
/// has no slash or is the root.
pub fn parent(path: &str) -> Option<&str> {
    if path == "/" {
        return None;
    }
    match path.rfind('/')? {
        0 => Some("/"),
        slash => Some(&path[..slash]),
    }
}

/// What follows the last slash.
pub fn name(path: &str) -> &str {
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

/// The path of the child `name` of `parent`.
pub fn join(parent: &str, name: &str) -> String {
    let separator = if parent == "/" { "" } else { "/" };
    format!("{parent}{separator}{name}")
}

/// The suffix of a sequential node: ten digits, and a sign if the counter wrapped.
pub fn sequence_suffix(counter: i32) -> String {
    format!("{counter:010}")
}
