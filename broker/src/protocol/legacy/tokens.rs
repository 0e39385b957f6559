//! Version 0 of the delegation tokens' APIs, which is laid out as version 1.

use kafka_protocol::messages::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

macro_rules! as_version_1 {
    ($($request:ty => $response:ty),* $(,)?) => {
        $(
            impl OldRequest for $request {
                fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
                    from.as_version(1)
                }
            }

            impl OldResponse for $response {
                fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
                    out.as_version(self, 1)
                }
            }
        )*
    };
}

as_version_1! {
    CreateDelegationTokenRequest => CreateDelegationTokenResponse,
    RenewDelegationTokenRequest => RenewDelegationTokenResponse,
    ExpireDelegationTokenRequest => ExpireDelegationTokenResponse,
    DescribeDelegationTokenRequest => DescribeDelegationTokenResponse,
}
