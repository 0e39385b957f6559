//! How a client proves who it is, and what happens to one that does not.
//!
//! Flow: an auth packet proves identities at once, a SASL login in several steps;
//! both are answered here, outside the order of the other requests.
//!
//! **Invariant:** an identity is added to a connection only by what is here.

mod digest_md5;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use common::jute::Reader;
use common::zk::{AuthPacket, ErrorCode, Id, SaslRequest};

use super::Server;
use super::connection::Task;
use super::error::Error;
use crate::config::Authentication;
use crate::pipeline::{Arrival, Client, Reply};
use crate::tree::acl::SUPER;
use digest_md5::Step;

pub(super) use digest_md5::DigestMd5;

impl Server {
    /// Who somebody proves to be, besides their address; `None` if they prove nothing.
    pub(crate) fn proven_ids(&self, scheme: &str, auth: Option<&[u8]>) -> Option<Vec<Id>> {
        match scheme {
            "digest" if self.config.rules.access.digest => {
                let credentials = String::from_utf8_lossy(auth?);
                Some(digest_ids(&credentials, &self.config.authentication))
            }
            // Everybody has shown their address by connecting.
            "ip" => Some(Vec::new()),
            _ => None,
        }
    }
}

impl Task<'_> {
    /// Answers an auth packet, under whatever number it came; who proves nothing is
    /// let go.
    pub(super) fn authenticate(
        &mut self,
        xid: i32,
        body: &mut Reader,
        received: Arrival,
    ) -> Result<(), Error> {
        let packet = body.read::<AuthPacket>().map_err(Error::Credentials)?;
        let scheme = packet.scheme.unwrap_or_default();
        let proven = self.server.proven_ids(&scheme, packet.auth.as_deref());
        if let Some(proven) = proven {
            self.connection.add_ids(proven);
            self.answer_now(xid, 0, received, Ok(Reply::Nothing));
        } else {
            self.server.stats.auth_failed.increment();
            tracing::warn!(peer = %self.connection.peer, "authentication failed");
            self.answer_now(xid, 0, received, Err(ErrorCode::AuthFailed));
            self.drain();
        }
        Ok(())
    }

    /// Answers one step of a SASL login.
    pub(super) fn sasl(
        &mut self,
        xid: i32,
        body: &mut Reader,
        received: Arrival,
    ) -> Result<(), Error> {
        let server = self.server;
        let config = &server.config.authentication;
        let SaslRequest { token } = body.read().map_err(Error::Credentials)?;
        let Some(users) = &config.sasl_users else {
            // Nobody can log in, which ZooKeeper answers with no token at all.
            self.answer_now(xid, 0, received, Ok(Reply::SaslToken(None)));
            return Ok(());
        };
        let peer = self.connection.peer;
        match self.login.evaluate(&token.unwrap_or_default(), users) {
            Ok(Step::Challenge(challenge)) => {
                let reply = Reply::SaslToken(Some(Bytes::from(challenge)));
                self.answer_now(xid, 0, received, Ok(reply));
            }
            Ok(Step::Done { user, token }) => {
                tracing::info!(%peer, user, "logged in by SASL");
                let mut ids = vec![Id::new("sasl", user.as_str())];
                if config.super_users.contains(&user) {
                    ids.push(Id::new(SUPER, ""));
                }
                self.connection.add_ids(ids);
                let reply = Reply::SaslToken(Some(Bytes::from(token)));
                self.answer_now(xid, 0, received, Ok(reply));
            }
            Err(error) => {
                tracing::warn!(%peer, %error, "a SASL login failed");
                self.sasl_failed(xid, received);
            }
        }
        Ok(())
    }

    fn sasl_failed(&mut self, xid: i32, received: Arrival) {
        let config = &self.server.config.authentication;
        let is_required = config
            .enforced_schemes
            .iter()
            .any(|scheme| scheme == "sasl");
        if config.keep_failed_sasl && !is_required {
            self.answer_now(xid, 0, received, Ok(Reply::SaslToken(None)));
            return;
        }
        self.server.stats.auth_failed.increment();
        let code = match is_required {
            true => ErrorCode::SessionClosedRequireSaslAuth,
            false => ErrorCode::AuthFailed,
        };
        self.answer_now(xid, 0, received, Ok(Reply::SaslFailed(code)));
        self.drain();
    }

    /// Whether the client may ask for anything; one that had to prove who it is
    /// and did not is told so and let go.
    pub(super) fn is_admitted(&mut self, xid: i32, received: Arrival) -> bool {
        let schemes = &self.server.config.authentication.enforced_schemes;
        let ids = || self.connection.ids();
        if schemes.is_empty() || ids().iter().any(|id| schemes.contains(&id.scheme)) {
            return true;
        }
        tracing::error!(
            peer = %self.connection.peer,
            expected = ?schemes,
            "a client that has not authenticated is let go"
        );
        let refused = Err(ErrorCode::SessionClosedRequireSaslAuth);
        self.answer_now(xid, 0, received, refused);
        self.drain();
        false
    }
}

/// The identities that `user:password` proves.
fn digest_ids(credentials: &str, config: &Authentication) -> Vec<Id> {
    let user = credentials.split(':').next().unwrap_or_default();
    let hash = BASE64.encode(config.algorithm.hash(credentials.as_bytes()));
    let digest = format!("{user}:{hash}");
    let mut ids = Vec::new();
    if config.super_digest.as_ref() == Some(&digest) {
        ids.push(Id::new(SUPER, ""));
    }
    ids.push(Id::new("digest", digest));
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Algorithm;

    #[test]
    fn digests_are_those_of_zookeeper() {
        // The pair of ZooKeeper's own documentation.
        let mut config = Authentication {
            super_digest: Some("super:xQJmxLMiHGwaqBvst5y6rkB6HQs=".into()),
            ..Authentication::default()
        };
        let ids = digest_ids("super:admin", &config);
        assert_eq!(ids[0], Id::new("super", ""));
        assert_eq!(ids[1].id, "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=");
        assert_eq!(digest_ids("u:p", &config).len(), 1);
        config.algorithm = Algorithm::Sha256;
        let ids = digest_ids("u:p", &config);
        assert_eq!(ids[0].id, "u:/Y8xRBngpX5duYn15uUqIRaIaCviy5TEwSk419hCwuA=");
    }
}
