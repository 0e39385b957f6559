//! Fetches a backup from an admin port, by as much of HTTP as that takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the server may be silent; it writes a whole snapshot before it answers.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// How long the head of an answer may be, and what is shown of a refusal.
const HEAD_LEN_MAX: u64 = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{addr}: {source}")]
    Io {
        addr: String,
        source: std::io::Error,
    },
    #[error("{addr} answers '{status}': {text}")]
    Refused {
        addr: String,
        status: String,
        text: String,
    },
    #[error("{addr} does not answer as an admin port does")]
    NoHttp { addr: String },
    #[error("{addr} ended after {got} of {wanted} bytes")]
    Short { addr: String, got: u64, wanted: u64 },
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// Copies the backup of the coordinator at `addr` into `out`.
pub(super) fn backup(addr: &str, out: &mut dyn Write) -> Result<(), Error> {
    let failed = |source| Error::Io {
        addr: addr.to_owned(),
        source,
    };
    let mut stream = TcpStream::connect(addr).map_err(failed)?;
    stream.set_read_timeout(Some(SILENCE_MAX)).map_err(failed)?;
    let request = format!("GET /backup HTTP/1.0\r\nHost: {addr}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut source = BufReader::new(stream);
    let head = head(&mut source).map_err(failed)?;
    let status = status(&head).ok_or_else(|| Error::NoHttp {
        addr: addr.to_owned(),
    })?;
    if status.split(' ').next() != Some("200") {
        let mut text = String::new();
        let answer = source.take(HEAD_LEN_MAX).read_to_string(&mut text);
        answer.map_err(failed)?;
        return Err(Error::Refused {
            addr: addr.to_owned(),
            status: status.to_owned(),
            text: text.trim().to_owned(),
        });
    }
    let wanted = length(&head).ok_or_else(|| Error::NoHttp {
        addr: addr.to_owned(),
    })?;
    let got = std::io::copy(&mut source.take(wanted), out).map_err(failed)?;
    if got < wanted {
        return Err(Error::Short {
            addr: addr.to_owned(),
            got,
            wanted,
        });
    }
    Ok(())
}

/// The lines up to the empty one.
fn head(source: &mut impl BufRead) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut limited = source.take(HEAD_LEN_MAX);
    loop {
        let mut line = String::new();
        limited.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line.to_owned());
    }
}

/// What follows the version, as in `200 OK`.
fn status(head: &[String]) -> Option<&str> {
    let line = head.first()?;
    let rest = line.strip_prefix("HTTP/1.")?;
    rest.split_once(' ').map(|(_, status)| status)
}

fn length(head: &[String]) -> Option<u64> {
    let mut fields = head.iter().skip(1).filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_understood_whoever_wrote_them() {
        let mut answer = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nbody".as_bytes();
        let lines = head(&mut answer).unwrap();
        assert_eq!(status(&lines), Some("200 OK"));
        assert_eq!(length(&lines), Some(12));
        assert_eq!(answer, b"body");
        let lines = head(&mut &b"\x00\x01 something else"[..]).unwrap();
        assert_eq!(status(&lines), None);
        assert_eq!(status(&head(&mut &b""[..]).unwrap()), None);
    }
}
