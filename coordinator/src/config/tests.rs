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
    assert!(config.allows_word("ruok") && !config.allows_word("dump"));
    assert!(config.warnings.is_empty());
}

#[test]
fn what_is_not_known_or_not_used_is_said() {
    let config = load(&["tikTime=1", "initLimit=10", "zookeeper.snapCount=10"]).unwrap();
    assert_eq!(config.storage.snap_count, 10);
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("did you mean 'tickTime'"));
    assert!(config.warnings[1].contains("without effect"));
}

#[test]
fn what_would_be_silently_missing_is_refused() {
    for text in [
        "server.1=a:2888:3888",
        "secureClientPort=2281",
        "authProvider.sasl=x",
        "tickTime=0",
        "clientPort=70000",
        "clientPortAddress=no.such.host.invalid",
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
