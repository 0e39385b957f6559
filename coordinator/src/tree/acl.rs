//! Who may do what: the schemes `world`, `ip`, `digest`, `sasl` and `auth`.
//!
//! **Invariant:** an ACL that is accepted is enforced; a scheme that is not
//! known here is refused when the ACL is set.

use std::net::IpAddr;

use common::zk::{Acl, ErrorCode, Id};

/// The identity that passes every check.
pub(crate) const SUPER: &str = "super";

/// What the operator decides about access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Nothing is checked (`skipACL`).
    pub skip: bool,
    /// Whether passwords prove an identity.
    pub digest: bool,
    /// Whether names that were proven by SASL may stand in ACLs.
    pub sasl: bool,
    /// The SASL name in an ACL that means everybody with any SASL name.
    pub any_sasl_user: Option<String>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            skip: false,
            digest: true,
            sasl: false,
            any_sasl_user: None,
        }
    }
}

impl Access {
    /// Checks that one of `ids` has one of the permissions `wanted`.
    pub(crate) fn check(&self, acl: &[Acl], wanted: i32, ids: &[Id]) -> Result<(), ErrorCode> {
        let allowed = self.skip
            || acl.is_empty()
            || ids.iter().any(|id| id.scheme == SUPER)
            || acl
                .iter()
                .any(|entry| entry.perms & wanted != 0 && self.is_one_of(&entry.id, ids));
        if allowed {
            Ok(())
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    fn is_one_of(&self, wanted: &Id, ids: &[Id]) -> bool {
        if wanted.is_world() {
            return true;
        }
        ids.iter()
            .filter(|id| id.scheme == wanted.scheme)
            .any(|id| match wanted.scheme.as_str() {
                "ip" => ip_matches(&id.id, &wanted.id),
                "digest" => self.digest && id.id == wanted.id,
                "sasl" => self.sasl && self.sasl_matches(&id.id, &wanted.id),
                _ => false,
            })
    }

    fn sasl_matches(&self, user: &str, wanted: &str) -> bool {
        user == wanted || user == SUPER || self.any_sasl_user.as_deref() == Some(wanted)
    }

    /// Makes the ACL of a request the one that is stored: without duplicates, with
    /// `auth` replaced by who asks.
    pub(crate) fn normalise(&self, acl: &[Acl], ids: &[Id]) -> Result<Vec<Acl>, ErrorCode> {
        let mut stored: Vec<Acl> = Vec::with_capacity(acl.len());
        for (index, entry) in acl.iter().enumerate() {
            if acl[..index].contains(entry) {
                continue;
            }
            match entry.id.scheme.as_str() {
                "auth" => {
                    let before = stored.len();
                    let authenticated = ids.iter().filter(|id| self.is_authenticated(id));
                    stored.extend(authenticated.map(|id| Acl::new(entry.perms, id.clone())));
                    if stored.len() == before {
                        return Err(ErrorCode::InvalidAcl);
                    }
                }
                _ if self.is_valid(&entry.id) => stored.push(entry.clone()),
                _ => return Err(ErrorCode::InvalidAcl),
            }
        }
        if stored.is_empty() {
            return Err(ErrorCode::InvalidAcl);
        }
        Ok(stored)
    }

    /// An address is where somebody is, not who.
    fn is_authenticated(&self, id: &Id) -> bool {
        match id.scheme.as_str() {
            "digest" => self.digest,
            "sasl" => self.sasl,
            _ => false,
        }
    }

    fn is_valid(&self, id: &Id) -> bool {
        match id.scheme.as_str() {
            "world" => id.is_world(),
            "ip" => parse_network(&id.id).is_some(),
            "digest" => self.digest && is_user_and_hash(&id.id),
            "sasl" => self.sasl && is_principal(&id.id),
            _ => false,
        }
    }
}

/// Two parts with a colon between them; ones that are empty and at the end do
/// not count, as where Java splits a string.
fn is_user_and_hash(id: &str) -> bool {
    let trimmed = id.trim_end_matches(':');
    trimmed.split(':').count() == 2
}

/// A name as Kerberos has them, `user@REALM` or `user/host@REALM`, or anything
/// without an `@`.
fn is_principal(name: &str) -> bool {
    match name.split_once('@') {
        None => true,
        Some((user, realm)) => user.matches('/').count() <= 1 && !realm.contains(['/', '@']),
    }
}

fn parse_network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        None => (text, None),
        Some((address, bits)) => (address, Some(bits)),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => bits_max,
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= bits_max)?,
    };
    Some((address, bits))
}

fn ip_matches(address: &str, network: &str) -> bool {
    let (Ok(address), Some((network, bits))) = (address.parse(), parse_network(network)) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let differing = (u32::from(a) ^ u32::from(n)).leading_zeros();
            differing >= bits
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let differing = (u128::from(a) ^ u128::from(n)).leading_zeros();
            differing >= bits
        }
        _ => false,
    }
}

/// What somebody who may read but not administer a node is shown of its ACL.
pub(crate) fn mask(acl: &[Acl]) -> Vec<Acl> {
    acl.iter()
        .map(|entry| match entry.id.scheme.as_str() {
            "digest" => {
                let user = entry.id.id.split(':').next().unwrap_or_default();
                Acl::new(entry.perms, Id::new("digest", format!("{user}:x")))
            }
            _ => entry.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::zk::perms;

    fn entry(perms: i32, scheme: &str, id: &str) -> Acl {
        Acl::new(perms, Id::new(scheme, id))
    }

    #[test]
    fn permissions_are_found_by_identity() {
        let alice = Id::new("digest", "alice:hash");
        let local = Id::new("ip", "10.1.2.3");
        let boss = Id::new("super", "");
        let acl = [
            entry(perms::READ, "world", "anyone"),
            entry(perms::ALL, "digest", "alice:hash"),
            entry(perms::WRITE, "ip", "10.1.0.0/16"),
        ];
        let table: [(i32, &[Id], bool); 7] = [
            (perms::READ, &[], true),
            (perms::DELETE, &[], false),
            (perms::DELETE, std::slice::from_ref(&alice), true),
            (perms::DELETE, std::slice::from_ref(&local), false),
            (perms::WRITE, std::slice::from_ref(&local), true),
            (perms::READ | perms::ADMIN, &[], true),
            (perms::ADMIN, std::slice::from_ref(&boss), true),
        ];
        let access = Access::default();
        for (wanted, ids, allowed) in table {
            let verdict = access.check(&acl, wanted, ids).is_ok();
            assert_eq!(verdict, allowed, "{wanted} {ids:?}");
        }
        assert_eq!(access.check(&[], perms::ALL, &[]), Ok(()));
        let open = Access {
            skip: true,
            ..Access::default()
        };
        assert_eq!(open.check(&acl, perms::DELETE, &[]), Ok(()));
    }

    #[test]
    fn networks_match_by_their_bits() {
        let table = [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "10.0.0.9/28", true),
            ("10.0.0.1", "0.0.0.0/0", true),
            ("::1", "::1", true),
            ("fe80::1", "fe80::/10", true),
            ("10.0.0.1", "::/0", false),
        ];
        for (address, network, expected) in table {
            assert_eq!(
                ip_matches(address, network),
                expected,
                "{address} {network}"
            );
        }
    }

    #[test]
    fn acls_are_normalised_or_refused() {
        let ids = [Id::new("ip", "127.0.0.1"), Id::new("digest", "a:h")];
        let access = Access::default();
        let normalise = |acl: &[Acl], ids: &[Id]| access.normalise(acl, ids);
        let open = entry(31, "world", "anyone");
        assert_eq!(
            normalise(&[open.clone(), open.clone()], &ids),
            Ok(vec![open])
        );
        assert_eq!(
            normalise(&[entry(31, "auth", "")], &ids),
            Ok(vec![entry(31, "digest", "a:h")])
        );
        let refused = [
            entry(31, "auth", ""),
            entry(31, "world", "somebody"),
            entry(31, "digest", "a"),
            entry(31, "digest", "a:b:c"),
            entry(31, "ip", "300.1.1.1"),
            entry(31, "ip", "10.0.0.0/33"),
            entry(31, "sasl", "kafka"),
        ];
        for acl in refused {
            let verdict = normalise(std::slice::from_ref(&acl), &ids[..1]);
            assert_eq!(verdict, Err(ErrorCode::InvalidAcl), "{acl:?}");
        }
        assert_eq!(normalise(&[], &ids), Err(ErrorCode::InvalidAcl));
    }

    #[test]
    fn names_proven_by_sasl_count_where_sasl_is_on() {
        let access = Access {
            sasl: true,
            any_sasl_user: Some("anyone".into()),
            ..Access::default()
        };
        let kafka = [Id::new("sasl", "kafka")];
        let acl = |id: &str| [entry(perms::READ, "sasl", id)];
        for (user, allowed) in [("kafka", true), ("zoe", false), ("anyone", true)] {
            let verdict = access.check(&acl(user), perms::READ, &kafka);
            assert_eq!(verdict.is_ok(), allowed, "{user}");
        }
        let boss = [Id::new("sasl", "super")];
        assert!(access.check(&acl("zoe"), perms::READ, &boss).is_ok());
        let auth = [entry(31, "auth", "")];
        assert_eq!(
            access.normalise(&auth, &kafka),
            Ok(vec![entry(31, "sasl", "kafka")])
        );
        let names = [
            "k", "k@R", "k/h@R", "a/b/c", "@R", "k@R@S", "a/b/c@R", "k@R/S",
        ];
        let valid = names.map(|name| access.normalise(&acl(name), &[]).is_ok());
        assert_eq!(valid, [true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn hashes_are_masked() {
        let masked = mask(&[entry(1, "digest", "u:hash"), entry(1, "ip", "::1")]);
        assert_eq!(masked, [entry(1, "digest", "u:x"), entry(1, "ip", "::1")]);
    }
}
