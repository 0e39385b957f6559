//! What the keys make of the daemon.

use super::keys::NO_EFFECT;
use super::*;

fn load(overrides: &[&str]) -> Result<Config, Error> {
    let mut all = vec!["dataDir=/tmp/x".to_owned()];
    all.extend(overrides.iter().map(ToString::to_string));
    Config::load(None, &all)
}

#[test]
fn defaults_are_those_of_zookeeper() {
    let config = load(&["tickTime=2000"]).unwrap();
    assert_eq!(config.client_address.port(), 2181);
    assert_eq!(config.session_timeout_ms_min, 4000);
    assert_eq!(config.session_timeout_ms_max, 40_000);
    assert_eq!(config.connections_per_ip_max, 60);
    assert_eq!(config.frame_max, 0xfffff);
    assert_eq!(config.storage.log_dir, config.storage.data_dir);
    assert!(config.allows_word("srvr") && !config.allows_word("ruok"));
    assert!(config.warnings.is_empty() && config.notes.is_empty());
    assert!(config.metrics.is_none());
}

#[test]
fn what_is_not_known_or_not_used_is_said() {
    let config = load(&["tikTime=1", "initLimit=10", "zookeeper.snapCount=10"]).unwrap();
    assert_eq!(config.storage.snap_count, 10);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("did you mean 'tickTime'"));
    assert_eq!(config.notes, ["accepted without effect: initLimit"]);
}

#[test]
fn what_would_be_silently_missing_is_refused() {
    for text in [
        "secureClientPort=2281",
        "authProvider.sasl=x",
        "authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider",
        "DigestAuthenticationProvider.digestAlg=ROT13",
        "java.security.auth.login.config=/no/such/file",
        "enforce.auth.enabled=true",
        "sessionRequireClientSASLAuth=true",
        "tickTime=0",
        "clientPort=70000",
        "clientPortAddress=no.such.host.invalid",
        "admin.commandURL=/metrics",
        "admin.commandURL=/{name}",
        "admin.commandURL=/",
    ] {
        assert!(load(&[text]).is_err(), "{text}");
    }
    let error = load(&["minSessionTimeout=9", "maxSessionTimeout=8"]).unwrap_err();
    assert!(matches!(error, Error::Timeouts { .. }));
    assert!(matches!(Config::load(None, &[]), Err(Error::NoDataDir)));
}

#[test]
fn every_key_is_in_the_commented_file() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../config/coordinator.properties"
    );
    let text = std::fs::read_to_string(file).unwrap();
    for key in KEYS {
        let line = format!("#{}={}", key.name, key.default.unwrap_or_default());
        let is_set = text.contains(&format!("\n{}=", key.name));
        assert!(
            is_set || text.lines().any(|l| l == line),
            "{line} is missing"
        );
        assert!(
            key.doc == NO_EFFECT || text.contains(key.doc),
            "{}",
            key.name
        );
    }
    for name in ["coordinator", "zookeeper"] {
        let file = format!("{}/../config/{name}.properties", env!("CARGO_MANIFEST_DIR"));
        let config = Config::load(Some(Path::new(&file)), &[]).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
}

#[test]
fn an_admin_port_that_was_written_is_meant() {
    let admin = load(&[]).unwrap().admin.unwrap();
    assert_eq!((admin.port, admin.origin), (8080, PortOrigin::Default));
    assert!(admin.address.is_loopback());
    let admin = load(&["admin.serverPort=8080"]).unwrap().admin.unwrap();
    assert_eq!(admin.origin, PortOrigin::Configured);
    assert!(load(&["admin.enableServer=false"]).unwrap().admin.is_none());
}

/// As existing installations have it.
const ZOO_CFG: &str = "
tickTime=2000
initLimit=10
syncLimit=5
dataDir=/var/lib/zookeeper
clientPort=2181
maxClientCnxns=-1
autopurge.snapRetainCount=1
autopurge.purgeInterval=1
4lw.commands.whitelist=stat, ruok
admin.serverPort=8081
zookeeper.jute.maxbuffer=0x9fffff
quorumListenOnAllIPs=true
ssl.quorum.keyStore.password=abc
netty.server.outstandingHandshake.limit=250
metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider
metricsProvider.httpPort=7001
metricsProvider.exportJvmInfo=true
standaloneEnabled=true
server.1=zk1.example.org:2888:3888;2182
";

fn parse(text: &str) -> Result<Config, Error> {
    let origin = Origin::File("zoo.cfg".into());
    Config::resolve(&Properties::parse(text.as_bytes(), origin)?)
}

#[test]
fn the_file_of_an_existing_single_server_starts_unchanged() {
    let config = parse(ZOO_CFG).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.client_address.port(), 2181);
    assert_eq!(config.connections_per_ip_max, 0);
    assert_eq!(config.storage.retain, 3);
    assert_eq!(config.frame_max, 0x9f_ffff);
    assert_eq!(config.metrics.unwrap().port(), 7001);
    for (word, allowed) in [
        ("ruok", true),
        ("stat", true),
        ("srvr", true),
        ("dump", false),
    ] {
        assert_eq!(config.allows_word(word), allowed, "{word}");
    }
    assert_eq!(config.notes[0], "autopurge.snapRetainCount=1 counts as 3");
    let without_effect = &config.notes[1];
    for name in [
        "initLimit",
        "netty.server.outstandingHandshake.limit",
        "server.1",
    ] {
        assert!(without_effect.contains(name), "{without_effect}");
    }
    let shown = format!("{}{:?}{:?}", config.written, config.notes, config.settings);
    assert!(!shown.contains("abc"), "{shown}");
}

#[test]
fn an_ensemble_is_refused_and_says_what_to_do() {
    let two = "dataDir=/d\nserver.1=a:2888:3888\nserver.2=b:2888:3888\n";
    let error = parse(two).unwrap_err().to_string();
    assert!(error.contains("zoo.cfg: server.2=b:2888:3888: "), "{error}");
    assert!(error.contains("leave one server.N line"), "{error}");
    assert!(parse("dataDir=/d\nserver.1=a:2888:3888:observer").is_err());
}

#[test]
fn a_single_member_of_a_dynamic_file_names_the_client_port() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg.dynamic");
    std::fs::write(&file, "server.1=a:2888:3888:participant;127.0.0.1:2777\n").unwrap();
    let text = format!("dataDir=/d\ndynamicConfigFile={}\n", file.display());
    let address = parse(&text).unwrap().client_address;
    assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], 2777)));
    // What the static file says goes before it.
    let config = parse(&format!("{text}clientPort=2778\n")).unwrap();
    assert_eq!(config.client_address.port(), 2778);
}

#[test]
fn the_command_line_wins_under_either_name() {
    let origin = Origin::File("zoo.cfg".into());
    let text = b"dataDir=/d\nzookeeper.snapCount=5\n";
    let mut properties = Properties::parse(text, origin).unwrap();
    properties.apply_overrides(["snapCount=7"]).unwrap();
    assert_eq!(Config::resolve(&properties).unwrap().storage.snap_count, 7);
}

#[test]
fn without_tls_an_admin_port_that_wants_it_stays_closed() {
    let config = load(&["admin.forceHttps=true", "admin.enableServer=true"]).unwrap();
    assert!(config.admin.is_none());
    assert!(config.warnings[0].contains("there is no admin port"));
}

#[test]
fn the_limits_are_said_in_a_line() {
    let config = load(&["tickTime=2000", "maxClientCnxns=0", "forceSync=no"]).unwrap();
    let limits = config.limits();
    for part in [
        "sessions of 4000..40000 ms",
        "any number of connections per",
        "NOT waited",
    ] {
        assert!(limits.contains(part), "{limits}");
    }
}

#[test]
fn what_was_meant_to_change_something_and_does_not_is_a_warning() {
    for key in [
        "audit.enable",
        "zookeeper.IPAuthenticationProvider.usexforwardedfor",
    ] {
        assert_eq!(
            load(&[&format!("{key}=true")]).unwrap().warnings.len(),
            1,
            "{key}"
        );
        assert!(
            load(&[&format!("{key}=false")])
                .unwrap()
                .warnings
                .is_empty(),
            "{key}"
        );
    }
}

#[test]
fn no_key_is_there_twice() {
    let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
}
