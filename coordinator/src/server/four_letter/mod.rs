//! The four-letter words: questions in plain text on the client port.
//!
//! Flow: `handshake` finds a word in the first four bytes, reads what else it
//! brings, and sends what [`answer`] says; the connection ends then.
//!
//! **Invariant:** the texts are those of ZooKeeper, field by field.

mod text;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Server;

pub(super) const LEN: usize = 4;

macro_rules! words {
    ($( $word:ident = $bytes:literal, $text:literal ),+ $(,)?) => {
        /// A word that a client may say instead of a connect request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Word { $( $word ),+ }

        impl Word {
            pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
                $( if bytes == $bytes { return Some(Self::$word); } )+
                None
            }

            fn text(self) -> &'static str {
                match self { $( Self::$word => $text ),+ }
            }
        }
    };
}

words! {
    Conf = b"conf", "conf",
    Cons = b"cons", "cons",
    Crst = b"crst", "crst",
    Dirs = b"dirs", "dirs",
    Dump = b"dump", "dump",
    Envi = b"envi", "envi",
    Gtmk = b"gtmk", "gtmk",
    Hash = b"hash", "hash",
    Isro = b"isro", "isro",
    Mntr = b"mntr", "mntr",
    Ruok = b"ruok", "ruok",
    Srst = b"srst", "srst",
    Srvr = b"srvr", "srvr",
    Stat = b"stat", "stat",
    Stmk = b"stmk", "stmk",
    Wchc = b"wchc", "wchc",
    Wchp = b"wchp", "wchp",
    Wchs = b"wchs", "wchs",
    // What telnet sends when it is told to close.
    TelnetClose = b"\xff\xf4\xff\xfd", "telnet close",
}

impl Word {
    pub(super) fn is_allowed(self, server: &Server) -> bool {
        server.config.allows_word(self.text())
    }

    /// How many bytes follow the word.
    pub(super) fn argument_len(self) -> usize {
        match self {
            Self::Stmk => size_of::<i64>(),
            _ => 0,
        }
    }
}

/// The answer to a word with the bytes that followed it.
pub(super) fn answer(server: &Arc<Server>, word: Word, argument: &[u8]) -> String {
    if !word.is_allowed(server) {
        let word = word.text();
        return format!("{word} is not executed because it is not in the whitelist.\n");
    }
    match word {
        Word::Conf => text::conf(server),
        Word::Cons => text::cons(server),
        Word::Crst => {
            server.reset_connections();
            "Connection stats reset.\n".to_owned()
        }
        Word::Dirs => text::dirs(server),
        Word::Dump => text::dump(server),
        Word::Envi => text::envi(),
        Word::Gtmk => server.stats.trace_mask.load(Relaxed).to_string(),
        // No digests of the tree are kept, as with digest.enabled=false.
        Word::Hash | Word::TelnetClose => String::new(),
        Word::Isro => "rw".to_owned(),
        Word::Mntr => text::mntr(server),
        Word::Ruok => "imok".to_owned(),
        Word::Srst => {
            server.reset_statistics();
            "Server stats reset.\n".to_owned()
        }
        Word::Srvr => text::srvr(server),
        Word::Stat => text::stat(server),
        Word::Stmk => set_trace_mask(server, argument),
        Word::Wchc => text::wchc(server),
        Word::Wchp => text::wchp(server),
        Word::Wchs => text::wchs(server),
    }
}

fn set_trace_mask(server: &Server, argument: &[u8]) -> String {
    match argument.try_into() {
        Ok(bytes) => {
            let mask = i64::from_be_bytes(bytes);
            server.stats.trace_mask.store(mask, Relaxed);
            mask.to_string()
        }
        // The client has gone before it said which.
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_by_their_bytes() {
        assert_eq!(Word::parse(b"ruok"), Some(Word::Ruok));
        assert_eq!(
            Word::parse(&[0xff, 0xf4, 0xff, 0xfd]),
            Some(Word::TelnetClose)
        );
        for other in [b"RUOK", b"kill", &[0, 0, 0, 44]] {
            assert_eq!(Word::parse(other), None);
        }
        assert_eq!(Word::Stmk.argument_len(), 8);
    }
}
