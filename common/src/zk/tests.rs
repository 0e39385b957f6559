use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::jute::{Error, Record};

fn check<T: Record + PartialEq + std::fmt::Debug>(value: T) {
    let bytes = value.to_bytes();
    assert!(bytes.len() >= T::MIN_LEN, "{value:?}");
    assert_eq!(T::from_bytes_exact(bytes.clone()).unwrap(), value);
    // Every proper prefix is refused, unless an optional last field is missing.
    for cut in 0..bytes.len() {
        if let Ok(shorter) = T::from_bytes(bytes.slice(..cut)) {
            assert_ne!(shorter, value);
        }
    }
}

fn stat() -> Stat {
    Stat {
        czxid: 1,
        mzxid: 2,
        ctime: 3,
        mtime: 4,
        version: 5,
        cversion: 6,
        aversion: 7,
        ephemeral_owner: 8,
        data_length: 9,
        num_children: 10,
        pzxid: 11,
    }
}

fn create_request() -> CreateRequest {
    CreateRequest {
        path: "/a".into(),
        data: Some(Bytes::from_static(b"x")),
        acl: Acl::open(),
        flags: CreateMode::EphemeralSequential.flags(),
    }
}

#[test]
fn connect_request_with_and_without_the_read_only_byte() {
    let mut request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0x0102,
        timeout_ms: 18000,
        session_id: 0,
        password: Some(Bytes::from(vec![0; PASSWORD_LEN])),
        read_only: Some(false),
        listens_at: None,
    };
    let bytes = request.to_bytes();
    assert_eq!(bytes.len(), 45);
    assert_eq!(
        &bytes[..16],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0x46, 0x50]
    );
    check(request.clone());
    request.listens_at = Some(9092);
    let longer = request.to_bytes();
    assert_eq!(longer[..45], bytes, "what ZooKeeper reads is the same");
    check(request.clone());
    let mut other = longer.to_vec();
    other[45] ^= 1;
    let read = ConnectRequest::from_bytes(other.into()).unwrap();
    assert_eq!(read.listens_at, None);
    request.listens_at = None;
    request.read_only = None;
    assert_eq!(request.to_bytes().len(), 44);
    check(request);
}

#[test]
fn connect_response_lengths_are_those_of_zookeeper() {
    let mut response = ConnectResponse {
        protocol_version: 0,
        timeout_ms: 6000,
        session_id: 0x100,
        password: Some(Bytes::from(vec![7; PASSWORD_LEN])),
        read_only: Some(false),
    };
    assert_eq!(response.to_bytes().len(), 37);
    check(response.clone());
    response.read_only = None;
    assert_eq!(response.to_bytes().len(), 36);
    check(response);
}

#[test]
fn create_request_golden_bytes() {
    let expected: &[u8] = &[
        0, 0, 0, 2, b'/', b'a', 0, 0, 0, 1, b'x', 0, 0, 0, 1, 0, 0, 0, 31, 0, 0, 0, 5, b'w', b'o',
        b'r', b'l', b'd', 0, 0, 0, 6, b'a', b'n', b'y', b'o', b'n', b'e', 0, 0, 0, 3,
    ];
    assert_eq!(&create_request().to_bytes()[..], expected);
}

#[test]
fn a_stat_has_68_bytes() {
    assert_eq!(stat().to_bytes().len(), 68);
    assert_eq!(Stat::MIN_LEN, 68);
    check(stat());
}

#[test]
fn each_request_round_trips() {
    check(RequestHeader { xid: 1, op: 14 });
    check(ReplyHeader {
        xid: -1,
        zxid: -1,
        err: 0,
    });
    check(create_request());
    check(CreateTtlRequest {
        path: "/t".into(),
        data: None,
        acl: vec![],
        flags: 5,
        ttl_ms: 1000,
    });
    check(DeleteRequest {
        path: "/a".into(),
        version: -1,
    });
    check(PathWatchRequest {
        path: "/a".into(),
        watch: true,
    });
    check(PathRequest { path: "/a".into() });
    check(SetDataRequest {
        path: "/a".into(),
        data: None,
        version: 3,
    });
    check(SetAclRequest {
        path: "/a".into(),
        acl: Acl::open(),
        version: 3,
    });
    check(AuthPacket {
        auth_type: 0,
        scheme: Some("digest".into()),
        auth: Some(Bytes::new()),
    });
    check(SaslRequest { token: None });
    check(SetWatches {
        relative_zxid: 5,
        data_watches: vec!["/a".into()],
        ..Default::default()
    });
    check(SetWatches2 {
        relative_zxid: 5,
        persistent_recursive_watches: vec!["/a".into(), "/b".into()],
        ..Default::default()
    });
    check(AddWatchRequest {
        path: "/a".into(),
        mode: 1,
    });
    check(CheckWatchesRequest {
        path: "/a".into(),
        watcher_type: 3,
    });
    check(GetEphemeralsRequest {
        prefix: String::new(),
    });
    check(ReconfigRequest {
        joining_servers: Some("x".into()),
        leaving_servers: None,
        new_members: None,
        current_config_id: -1,
    });
}

#[test]
fn each_response_round_trips() {
    check(PathResponse { path: "/a".into() });
    check(Create2Response {
        path: "/a".into(),
        stat: stat(),
    });
    check(StatResponse { stat: stat() });
    check(GetDataResponse {
        data: Some(Bytes::from_static(b"v")),
        stat: stat(),
    });
    check(GetAclResponse {
        acl: Acl::open(),
        stat: stat(),
    });
    check(GetChildrenResponse {
        children: vec!["a".into(), "b".into()],
    });
    check(GetChildren2Response {
        children: vec![],
        stat: stat(),
    });
    check(GetAllChildrenNumberResponse { total: 3 });
    check(GetEphemeralsResponse {
        ephemerals: vec!["/e".into()],
    });
    let client = ClientInfo {
        scheme: "ip".into(),
        user: "127.0.0.1".into(),
    };
    check(WhoAmIResponse {
        client_info: vec![client],
    });
    check(SaslResponse {
        token: Some(Bytes::new()),
    });
    check(ErrorResponse { err: 0 });
    check(WatcherEvent {
        event_type: 1,
        state: 3,
        path: "/a".into(),
    });
}

#[test]
fn multi_round_trips() {
    let read = PathWatchRequest {
        path: "/a".into(),
        watch: false,
    };
    check(MultiRequest {
        ops: vec![
            MultiOp::Create(create_request()),
            MultiOp::Create2(create_request()),
            MultiOp::CreateContainer(create_request()),
            MultiOp::CreateTtl(CreateTtlRequest {
                path: "/t".into(),
                data: None,
                acl: vec![],
                flags: 6,
                ttl_ms: 1,
            }),
            MultiOp::Delete(DeleteRequest {
                path: "/a".into(),
                version: 1,
            }),
            MultiOp::SetData(SetDataRequest {
                path: "/a".into(),
                data: None,
                version: 1,
            }),
            MultiOp::Check(CheckVersionRequest {
                path: "/a".into(),
                version: 1,
            }),
            MultiOp::GetData(read.clone()),
            MultiOp::GetChildren(read),
        ],
    });
    check(MultiRequest::default());
    check(MultiResponse {
        results: vec![
            MultiResult::Create(PathResponse { path: "/a".into() }),
            MultiResult::Create2(Create2Response {
                path: "/a".into(),
                stat: stat(),
            }),
            MultiResult::Delete,
            MultiResult::SetData(StatResponse { stat: stat() }),
            MultiResult::Check,
            MultiResult::GetData(GetDataResponse {
                data: None,
                stat: stat(),
            }),
            MultiResult::GetChildren(GetChildrenResponse { children: vec![] }),
            MultiResult::Error(-101),
        ],
    });
}

#[test]
fn multi_golden_bytes() {
    let check = CheckVersionRequest {
        path: "/a".into(),
        version: 2,
    };
    let request = MultiRequest {
        ops: vec![MultiOp::Check(check)],
    };
    let expected: &[u8] = &[
        0, 0, 0, 13, 0, 255, 255, 255, 255, 0, 0, 0, 2, b'/', b'a', 0, 0, 0, 2, // the check
        255, 255, 255, 255, 1, 255, 255, 255, 255, // the end
    ];
    assert_eq!(&request.to_bytes()[..], expected);

    let response = MultiResponse {
        results: vec![MultiResult::Error(-103)],
    };
    let expected: &[u8] = &[
        255, 255, 255, 255, 0, 255, 255, 255, 0x99, 255, 255, 255, 0x99, // the error
        255, 255, 255, 255, 1, 255, 255, 255, 255, // the end
    ];
    assert_eq!(&response.to_bytes()[..], expected);
}

#[test]
fn an_unknown_part_of_a_multi_is_refused() {
    let bytes = Bytes::from_static(&[0, 0, 0, 99, 0, 255, 255, 255, 255]);
    let expected = Error::BadDiscriminant {
        what: "an operation of a multi",
        value: 99,
    };
    assert_eq!(MultiRequest::from_bytes(bytes), Err(expected));
}

#[test]
fn codes_come_back() {
    for op in OpCode::ALL {
        assert_eq!(OpCode::from_code(op.code()), Some(*op));
    }
    for error in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
    }
    for flags in 0..=6 {
        assert_eq!(CreateMode::from_flags(flags).unwrap().flags(), flags);
    }
    assert_eq!(CreateMode::from_flags(7), None);
    assert_eq!(OpCode::from_code(0), None);
    assert_eq!(ErrorCode::NoNode.to_string(), "no such node (-101)");
}

#[test]
fn paths_are_judged_as_in_zookeeper() {
    use path::Error::*;
    let table = [
        ("/", Ok(())),
        ("/a", Ok(())),
        ("/a/b", Ok(())),
        ("/a.b/..c/.d/...", Ok(())),
        ("/ü/漢", Ok(())),
        ("", Err(Empty)),
        ("a", Err(NotAbsolute)),
        ("/a/", Err(TrailingSlash)),
        ("//a", Err(EmptyComponent)),
        ("/a//b", Err(EmptyComponent)),
        ("/.", Err(Relative)),
        ("/a/../b", Err(Relative)),
        ("/a\u{0}", Err(BadCharacter(0))),
        ("/a\u{1f}", Err(BadCharacter(0x1f))),
        ("/a\u{9f}", Err(BadCharacter(0x9f))),
        ("/a\u{e000}", Err(BadCharacter(0xe000))),
        ("/a\u{fff0}", Err(BadCharacter(0xfff0))),
        ("/a\u{1f600}", Err(BadCharacter(0x1f600))),
    ];
    for (text, expected) in table {
        assert_eq!(path::validate(text), expected, "{text:?}");
    }
    assert_eq!(path::validate_sequential("/a/"), Ok(()));
    assert_eq!(path::validate_sequential("/a/."), Ok(()));
    assert_eq!(path::validate_sequential("/a//"), Err(EmptyComponent));
}

#[test]
fn paths_split_and_join() {
    assert_eq!(path::parent("/"), None);
    assert_eq!(path::parent("a"), None);
    assert_eq!(path::parent("/a"), Some("/"));
    assert_eq!(path::parent("/a/b"), Some("/a"));
    assert_eq!(path::name("/a/b"), "b");
    assert_eq!(path::join("/", "a"), "/a");
    assert_eq!(path::join("/a", "b"), "/a/b");
    assert_eq!(path::sequence_suffix(7), "0000000007");
    assert_eq!(path::sequence_suffix(i32::MIN), "-2147483648");
    assert_eq!(path::sequence_suffix(-5), "-000000005");
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in any::<Vec<u8>>()) {
        let bytes = Bytes::from(bytes);
        let _ = ConnectRequest::from_bytes(bytes.clone());
        let _ = CreateRequest::from_bytes(bytes.clone());
        let _ = MultiRequest::from_bytes(bytes.clone());
        let _ = MultiResponse::from_bytes(bytes.clone());
        let _ = SetWatches2::from_bytes(bytes.clone());
        let _ = GetAclResponse::from_bytes(bytes);
    }

    #[test]
    fn create_round_trips(path in ".*", data in any::<Option<Vec<u8>>>(), flags in any::<i32>(),
                          acl in proptest::collection::vec((any::<i32>(), ".*", ".*"), 0..4)) {
        let acl = acl.into_iter().map(|(perms, scheme, id)| Acl::new(perms, Id::new(scheme, id)));
        let request = CreateRequest { path, data: data.map(Bytes::from), acl: acl.collect(), flags };
        prop_assert_eq!(CreateRequest::from_bytes_exact(request.to_bytes()).unwrap(), request);
    }

    #[test]
    fn a_path_is_valid_with_its_children(path in "(/[a-z0-9_-]{1,8}){1,5}") {
        prop_assert_eq!(path::validate(&path), Ok(()));
        let parent = path::parent(&path).unwrap();
        prop_assert_eq!(path::join(parent, path::name(&path)), path);
    }
}

#[test]
fn an_identity_may_be_missing() {
    // kazoo writes the empty identity of `auth` as null.
    let bytes = Bytes::from_static(b"\0\0\0\x1f\0\0\0\x04auth\xff\xff\xff\xff");
    let acl = Acl::from_bytes_exact(bytes).unwrap();
    assert_eq!(acl, Acl::new(perms::ALL, Id::new("auth", "")));
}
