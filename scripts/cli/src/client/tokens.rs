//! What administrators ask about delegation tokens (KIP-48). A broker answers them on
//! connections that say who asks.

use bytes::Bytes;
use kafka_protocol::messages::create_delegation_token_request::CreatableRenewers;
use kafka_protocol::messages::describe_delegation_token_request::DescribeDelegationTokenOwner;
use kafka_protocol::messages::{
    CreateDelegationTokenRequest, DescribeDelegationTokenRequest, ExpireDelegationTokenRequest,
    RenewDelegationTokenRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};

use super::metadata::{AutoCreate, Topics};
use super::{Client, Error, Lane};

/// A user, or something else that brokers know by a type and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl Principal {
    fn of(kind: &StrBytes, name: &StrBytes) -> Self {
        Self {
            kind: kind.to_string(),
            name: name.to_string(),
        }
    }

    fn wire(&self) -> [StrBytes; 2] {
        [&self.kind, &self.name].map(|text| StrBytes::from_string(text.clone()))
    }
}

/// A token; times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) hmac: Bytes,
    pub(crate) owner: Principal,
    pub(crate) requester: Principal,
    pub(crate) renewers: Vec<Principal>,
    pub(crate) issued_ms: i64,
    pub(crate) expires_ms: i64,
    pub(crate) ends_ms: i64,
}

impl Client {
    pub(crate) async fn create_token(
        &self,
        owner: Option<&Principal>,
        renewers: &[Principal],
        lifetime_ms: i64,
    ) -> Result<Token, Error> {
        let named = renewers.iter().map(|renewer| {
            let [kind, name] = renewer.wire();
            CreatableRenewers::default()
                .with_principal_type(kind)
                .with_principal_name(name)
        });
        let (kind, name) = match owner.map(Principal::wire) {
            Some([kind, name]) => (Some(kind), Some(name)),
            None => (None, None),
        };
        let request = CreateDelegationTokenRequest::default()
            .with_owner_principal_type(kind)
            .with_owner_principal_name(name)
            .with_renewers(named.collect())
            .with_max_lifetime_ms(lifetime_ms);
        let made = self.ask_any("createDelegationToken", request).await?;
        Error::check(made.error_code, None)?;
        Ok(Token {
            id: made.token_id.to_string(),
            hmac: made.hmac,
            owner: Principal::of(&made.principal_type, &made.principal_name),
            requester: Principal::of(
                &made.token_requester_principal_type,
                &made.token_requester_principal_name,
            ),
            renewers: renewers.to_vec(),
            issued_ms: made.issue_timestamp_ms,
            expires_ms: made.expiry_timestamp_ms,
            ends_ms: made.max_timestamp_ms,
        })
    }

    /// Lets a token live on; when it expires now.
    pub(crate) async fn renew_token(&self, hmac: Bytes, period_ms: i64) -> Result<i64, Error> {
        let request = RenewDelegationTokenRequest::default()
            .with_hmac(hmac)
            .with_renew_period_ms(period_ms);
        let answer = self.ask_any("renewDelegationToken", request).await?;
        Error::check(answer.error_code, None)?;
        Ok(answer.expiry_timestamp_ms)
    }

    /// Lets a token end sooner, or at once (-1); when it expires now.
    pub(crate) async fn expire_token(&self, hmac: Bytes, period_ms: i64) -> Result<i64, Error> {
        let request = ExpireDelegationTokenRequest::default()
            .with_hmac(hmac)
            .with_expiry_time_period_ms(period_ms);
        let answer = self.ask_any("expireDelegationToken", request).await?;
        Error::check(answer.error_code, None)?;
        Ok(answer.expiry_timestamp_ms)
    }

    /// The tokens of `owners`.
    pub(crate) async fn describe_tokens(&self, owners: &[Principal]) -> Result<Vec<Token>, Error> {
        let owners = owners.iter().map(|owner| {
            let [kind, name] = owner.wire();
            DescribeDelegationTokenOwner::default()
                .with_principal_type(kind)
                .with_principal_name(name)
        });
        let request = DescribeDelegationTokenRequest::default().with_owners(Some(owners.collect()));
        let answer = self.ask_any("describeDelegationToken", request).await?;
        Error::check(answer.error_code, None)?;
        let tokens = answer.tokens.into_iter().map(|token| Token {
            id: token.token_id.to_string(),
            hmac: token.hmac,
            owner: Principal::of(&token.principal_type, &token.principal_name),
            requester: Principal::of(
                &token.token_requester_principal_type,
                &token.token_requester_principal_name,
            ),
            renewers: (token.renewers.iter())
                .map(|renewer| Principal::of(&renewer.principal_type, &renewer.principal_name))
                .collect(),
            issued_ms: token.issue_timestamp,
            expires_ms: token.expiry_timestamp,
            ends_ms: token.max_timestamp,
        });
        Ok(tokens.collect())
    }

    async fn ask_any<R: Request + Clone>(
        &self,
        call: &'static str,
        request: R,
    ) -> Result<R::Response, Error> {
        self.retrying(call, async || {
            self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
            let broker = self.any_broker()?;
            let request = request.clone();
            self.call(&broker, Lane::Control, |_| request).await
        })
        .await
    }
}
