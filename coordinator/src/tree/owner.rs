//! What the owner of a node says about its kind, in ZooKeeper's own encoding.
//!
//! A session id marks an ephemeral node; two ranges that no session id falls
//! into mark the kinds of nodes that the server itself removes some day.

/// The owner of every container node.
const CONTAINER: i64 = i64::MIN;
/// The top byte of the owner of a TTL node, and two reserved bytes of zeros.
const TTL_MARK: i64 = 0xff << 56;
/// The longest time to live: 40 bits of milliseconds, about 34 years.
pub(crate) const TTL_MS_MAX: i64 = (1 << 40) - 1;

/// How a node ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody removes it but clients.
    Nobody,
    /// It ends with this session.
    Session(i64),
    /// It is removed once it has no children any more.
    Container,
    /// It is removed when it has had no children and no changes for so long.
    Ttl { ms: i64 },
}

impl Owner {
    /// Reads the number that is stored.
    pub(crate) fn of(stored: i64) -> Self {
        match stored {
            0 => Self::Nobody,
            CONTAINER => Self::Container,
            _ if stored & !TTL_MS_MAX == TTL_MARK => Self::Ttl {
                ms: stored & TTL_MS_MAX,
            },
            session => Self::Session(session),
        }
    }

    /// The number that is stored.
    pub(crate) fn stored(self) -> i64 {
        match self {
            Self::Nobody => 0,
            Self::Session(session) => session,
            Self::Container => CONTAINER,
            Self::Ttl { ms } => TTL_MARK | ms,
        }
    }

    pub(crate) fn is_session(self) -> bool {
        matches!(self, Self::Session(_))
    }

    /// Whether the server itself removes such nodes some day.
    pub(crate) fn is_removable(self) -> bool {
        matches!(self, Self::Container | Self::Ttl { .. })
    }

    /// What clients are told: sessions only.
    pub(crate) fn reported(self) -> i64 {
        match self {
            Self::Session(session) => session,
            Self::Nobody | Self::Container | Self::Ttl { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_those_of_zookeeper() {
        let table = [
            (Owner::Nobody, 0),
            (Owner::Session(0x0100_0000_0000_0001), 0x0100_0000_0000_0001),
            (Owner::Container, i64::MIN),
            (Owner::Ttl { ms: 1000 }, 0xff00_0000_0000_03e8_u64 as i64),
            (
                Owner::Ttl { ms: TTL_MS_MAX },
                0xff00_00ff_ffff_ffff_u64 as i64,
            ),
        ];
        for (owner, stored) in table {
            assert_eq!(owner.stored(), stored, "{owner:?}");
            assert_eq!(Owner::of(stored), owner);
            assert_eq!(owner.reported() != 0, owner.is_session());
        }
        // A session of server 255, whose id carries a time in the reserved bytes.
        let session = 0xff90_1234_5678_0000_u64 as i64;
        assert_eq!(Owner::of(session), Owner::Session(session));
    }
}
