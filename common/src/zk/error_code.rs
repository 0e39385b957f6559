//! Why a request failed.

macro_rules! error_codes {
    ($( $name:ident = $code:literal, $text:literal; )+) => {
        /// The error of a reply; the numbers are ZooKeeper's, `Ok` (0) is no member.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum ErrorCode { $( $name = $code ),+ }

        impl ErrorCode {
            pub const ALL: &[ErrorCode] = &[ $( ErrorCode::$name ),+ ];

            pub fn from_code(code: i32) -> Option<Self> {
                match code {
                    $( $code => Some(Self::$name), )+
                    _ => None,
                }
            }

            fn text(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )+
                }
            }
        }
    };
}

error_codes! {
    SystemError = -1, "system error";
    RuntimeInconsistency = -2, "runtime inconsistency";
    DataInconsistency = -3, "data inconsistency";
    ConnectionLoss = -4, "connection lost";
    MarshallingError = -5, "the request cannot be decoded";
    Unimplemented = -6, "operation not implemented";
    OperationTimeout = -7, "operation timed out";
    BadArguments = -8, "bad arguments";
    UnknownSession = -12, "unknown session";
    NewConfigNoQuorum = -13, "no quorum of the new configuration is connected";
    ReconfigInProgress = -14, "another reconfiguration is in progress";
    NoNode = -101, "no such node";
    NoAuth = -102, "not authorised";
    BadVersion = -103, "version does not match";
    NoChildrenForEphemerals = -108, "an ephemeral node cannot have children";
    NodeExists = -110, "node exists";
    NotEmpty = -111, "node has children";
    SessionExpired = -112, "session expired";
    InvalidCallback = -113, "invalid callback";
    InvalidAcl = -114, "invalid ACL";
    AuthFailed = -115, "authentication failed";
    SessionMoved = -118, "session moved to another server";
    NotReadOnly = -119, "not allowed in read-only mode";
    EphemeralOnLocalSession = -120, "a local session cannot own ephemeral nodes";
    NoWatcher = -121, "no such watcher";
    RequestTimeout = -122, "request timed out";
    ReconfigDisabled = -123, "reconfiguration is disabled";
    SessionClosedRequireSaslAuth = -124, "session closed: authentication is required";
    QuotaExceeded = -125, "quota exceeded";
    ThrottledOp = -127, "operation throttled";
}

impl ErrorCode {
    pub fn code(self) -> i32 {
        self as i32
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text(), self.code())
    }
}

impl std::error::Error for ErrorCode {}
