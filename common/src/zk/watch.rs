//! Watch events and the kinds of watches.

macro_rules! wire_enum {
    ($( $(#[$meta:meta])* pub enum $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $code:literal ),+ $(,)? } )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum $name { $( $(#[$vmeta])* $variant = $code ),+ }

        impl $name {
            pub fn from_code(code: i32) -> Option<Self> {
                match code {
                    $( $code => Some(Self::$variant), )+
                    _ => None,
                }
            }

            pub fn code(self) -> i32 {
                self as i32
            }
        }
    )+};
}

wire_enum! {
    /// What happened to a node.
    pub enum EventType {
        NodeCreated = 1,
        NodeDeleted = 2,
        NodeDataChanged = 3,
        NodeChildrenChanged = 4,
    }

    /// The state of the client that an event reports; on the wire always `SyncConnected`.
    pub enum KeeperState {
        Disconnected = 0,
        SyncConnected = 3,
        AuthFailed = 4,
        ConnectedReadOnly = 5,
        SaslAuthenticated = 6,
        Expired = -112,
        Closed = 7,
    }

    /// The mode of an addWatch.
    pub enum AddWatchMode {
        Persistent = 0,
        PersistentRecursive = 1,
    }

    /// Which watches a checkWatches or removeWatches means.
    pub enum WatcherType {
        Children = 1,
        Data = 2,
        Any = 3,
        Persistent = 4,
        PersistentRecursive = 5,
    }
}

crate::jute_record! {
    /// The body of a notification.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct WatcherEvent {
        /// An [`EventType`].
        event_type: i32,
        /// A [`KeeperState`].
        state: i32,
        path: String,
    }
}
