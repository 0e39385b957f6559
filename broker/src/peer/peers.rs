//! The connections to all other brokers, each opened when it is first needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::connection::Connection;
use super::{ControlChannel, Error};
use crate::model::{BrokerId, MetadataVersion};
use crate::protocol::interbroker::{
    self, AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterPartitionRequest,
    AlterPartitionResponse, ControlRequest, ControlResponse, ControlledShutdownRequest,
    ControlledShutdownResponse, Endpoint, InterbrokerKey, LiveBroker, ResponseForm, version_in,
};

/// The only security protocol that is spoken.
const PLAINTEXT: &str = "PLAINTEXT";

/// How other brokers are reached.
#[derive(Debug, Clone)]
pub struct Config {
    /// This broker, which names itself by its id as Kafka does.
    pub broker_id: BrokerId,
    /// The listener of other brokers that is connected to.
    pub listener: String,
    /// `controller.socket.timeout.ms`: for connecting, sending and the answer.
    pub request_timeout: Duration,
    /// `inter.broker.protocol.version`
    pub version: MetadataVersion,
}

/// Sends requests to other brokers, one at a time to each.
pub struct Peers {
    config: Arc<Config>,
    slots: Mutex<HashMap<BrokerId, Arc<Slot>>>,
}

/// A broker's connection between requests, and whose turn it is. Waiters get
/// their turns in the order in which they asked.
type Slot = tokio::sync::Mutex<Option<Open>>;

struct Open {
    endpoint: Endpoint,
    connection: Connection,
}

impl Peers {
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            slots: Mutex::default(),
        }
    }

    /// Tells the controller `to` that this broker is going to stop.
    pub async fn controlled_shutdown(
        &self,
        to: &LiveBroker,
        request: ControlledShutdownRequest,
    ) -> Result<ControlledShutdownResponse, Error> {
        let broker = to.id;
        let key = InterbrokerKey::ControlledShutdown;
        let version = version_in(self.config.version, key);
        let answer = self
            .call_in(to, key, version, request.encode(version))
            .await?;
        ControlledShutdownResponse::decode(answer, version)
            .map_err(|source| Error::Message { broker, source })
    }

    /// Asks the controller `to` for other ISRs.
    pub async fn alter_partition(
        &self,
        to: &LiveBroker,
        version: i16,
        request: &AlterPartitionRequest,
    ) -> Result<AlterPartitionResponse, Error> {
        let broker = to.id;
        let key = InterbrokerKey::AlterPartition;
        let answer = self.call_in(to, key, version, request.encode(version));
        AlterPartitionResponse::decode(answer.await?, version)
            .map_err(|source| Error::Message { broker, source })
    }

    /// Asks the controller `to` for a block of producer ids.
    pub async fn allocate_producer_ids(
        &self,
        to: &LiveBroker,
        request: AllocateProducerIdsRequest,
    ) -> Result<AllocateProducerIdsResponse, Error> {
        let broker = to.id;
        let key = InterbrokerKey::AllocateProducerIds;
        let answer = self.call(to, key, request.encode()).await?;
        AllocateProducerIdsResponse::decode(answer)
            .map_err(|source| Error::Message { broker, source })
    }

    fn call(
        &self,
        to: &LiveBroker,
        key: InterbrokerKey,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, Error>> {
        self.call_in(to, key, key.version(), body)
    }

    fn call_in(
        &self,
        to: &LiveBroker,
        key: InterbrokerKey,
        version: i16,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, Error>> {
        let endpoint = match self.endpoint(to) {
            Ok(endpoint) => endpoint.clone(),
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let slot = self.slots.lock().entry(to.id).or_default().clone();
        let call = Call {
            broker: to.id,
            endpoint,
            config: self.config.clone(),
            key,
            version,
            body,
        };
        let limit = self.config.request_timeout;
        Box::pin(async move {
            let broker = call.broker;
            match tokio::time::timeout(limit, call.run(&slot)).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::TimedOut { broker, limit }),
            }
        })
    }

    fn endpoint<'a>(&self, to: &'a LiveBroker) -> Result<&'a Endpoint, Error> {
        let (broker, listener) = (to.id, &self.config.listener);
        let mut endpoints = to.endpoints.iter();
        match endpoints.find(|endpoint| endpoint.listener == *listener) {
            None => Err(Error::NoListener {
                broker,
                listener: listener.clone(),
            }),
            Some(endpoint) if endpoint.security_protocol != PLAINTEXT => Err(Error::Protocol {
                broker,
                listener: listener.clone(),
                protocol: endpoint.security_protocol.clone(),
            }),
            Some(endpoint) => Ok(endpoint),
        }
    }
}

/// One request on its way.
struct Call {
    broker: BrokerId,
    endpoint: Endpoint,
    config: Arc<Config>,
    key: InterbrokerKey,
    version: i16,
    body: Bytes,
}

impl Call {
    /// The connection is out of its slot while it is in use: whatever ends
    /// this early closes it.
    async fn run(self, slot: &Slot) -> Result<Bytes, Error> {
        let mut slot = slot.lock().await;
        if let Some(open) = slot.take()
            && open.endpoint == self.endpoint
        {
            match self.exchange(open.connection).await {
                Ok((answer, connection)) => {
                    *slot = Some(self.open(connection));
                    return Ok(answer);
                }
                // It was closed while it idled.
                Err(Error::Broken { .. } | Error::Closed(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let (host, port) = (self.endpoint.host.as_str(), self.endpoint.port);
        let connection = Connection::open(self.broker, host, port).await?;
        let (answer, connection) = self.exchange(connection).await?;
        *slot = Some(self.open(connection));
        Ok(answer)
    }

    async fn exchange(&self, mut connection: Connection) -> Result<(Bytes, Connection), Error> {
        let client_id = self.config.broker_id.to_string();
        let (key, version, body) = (self.key, self.version, &self.body);
        let write = |id| interbroker::request(key, version, id, &client_id, body);
        let answer = connection.call(write).await?;
        let broker = self.broker;
        let (_, body) = interbroker::split_response(key, version, answer)
            .map_err(|source| Error::Message { broker, source })?;
        Ok((body, connection))
    }

    fn open(&self, connection: Connection) -> Open {
        Open {
            endpoint: self.endpoint.clone(),
            connection,
        }
    }
}

impl ControlChannel for Peers {
    fn send(
        &self,
        to: &LiveBroker,
        request: ControlRequest,
    ) -> BoxFuture<'static, Result<ControlResponse, Error>> {
        let broker = to.id;
        let key = request.key();
        let version = version_in(self.config.version, key);
        let form = ResponseForm::of(&request, version);
        let body = match request.encode(version) {
            Ok(body) => body,
            Err(source) => {
                let failed = Err(Error::Message { broker, source });
                return Box::pin(std::future::ready(failed));
            }
        };
        let call = self.call_in(to, key, version, body);
        Box::pin(async move {
            let answer = call.await?;
            form.decode(answer)
                .map_err(|source| Error::Message { broker, source })
        })
    }

    fn disconnect(&self, broker: BrokerId) {
        self.slots.lock().remove(&broker);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use common::frame::FrameReader;
    use common::wire::Frame;
    use tokio::net::TcpListener;

    use super::*;
    use crate::protocol::InterbrokerFrame;
    use crate::protocol::interbroker::{ControlHeader, StopReplicaRequest, response};

    /// Answers the first requests of each connection with `behaviour`.
    struct Remote {
        broker: LiveBroker,
        connections: Arc<AtomicU32>,
    }

    #[derive(Clone, Copy)]
    enum Behaviour {
        Answer,
        AnswerOnce,
        WrongCorrelation,
        Silence,
    }

    async fn remote(behaviour: Behaviour) -> Remote {
        let listener = common::net::bind("127.0.0.1:0".parse().unwrap());
        let listener: TcpListener = listener.await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicU32::new(0));
        let accepted = connections.clone();
        common::task::spawn("remote", async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                common::task::spawn("remote connection", async move {
                    let (read, write) = stream.into_split();
                    let mut frames = FrameReader::new(read, 1 << 20);
                    while let Ok(Some(frame)) = frames.next().await {
                        let request = InterbrokerFrame::parse(&frame).unwrap().unwrap();
                        let id = match behaviour {
                            Behaviour::WrongCorrelation => request.correlation_id + 1,
                            Behaviour::Silence => std::future::pending().await,
                            Behaviour::Answer | Behaviour::AnswerOnce => request.correlation_id,
                        };
                        let answer =
                            Frame::from(response(request.key, request.version, id, &[0, 0, 1, 0]));
                        answer.send(write.as_ref()).await.unwrap();
                        if matches!(behaviour, Behaviour::AnswerOnce) {
                            return;
                        }
                    }
                });
            }
        });
        let endpoint = Endpoint {
            listener: "INTERNAL".to_owned(),
            security_protocol: PLAINTEXT.to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
        };
        let broker = LiveBroker {
            id: 3,
            epoch: 1,
            endpoints: vec![endpoint],
            rack: None,
        };
        Remote {
            broker,
            connections,
        }
    }

    fn peers(limit: Duration) -> Peers {
        Peers::new(Config {
            broker_id: 1,
            listener: "INTERNAL".to_owned(),
            request_timeout: limit,
            version: "3.9".parse().unwrap(),
        })
    }

    fn request() -> ControlRequest {
        ControlRequest::StopReplica(StopReplicaRequest {
            header: ControlHeader {
                controller_id: 1,
                controller_epoch: 1,
                broker_epoch: 1,
            },
            partitions: Vec::new(),
        })
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn one_connection_carries_all_requests_to_a_broker() {
        let (remote, peers) = (remote(Behaviour::Answer).await, peers(LONG));
        for _ in 0..3 {
            let answer = peers.send(&remote.broker, request()).await.unwrap();
            assert_eq!(answer, ControlResponse::default());
        }
        assert_eq!(remote.connections.load(Ordering::SeqCst), 1);
        peers.disconnect(remote.broker.id);
        peers.send(&remote.broker, request()).await.unwrap();
        assert_eq!(remote.connections.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_is_opened_again() {
        let (remote, peers) = (remote(Behaviour::AnswerOnce).await, peers(LONG));
        for _ in 0..3 {
            peers.send(&remote.broker, request()).await.unwrap();
        }
        assert_eq!(remote.connections.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_late_or_wrong_answer_ends_the_connection() {
        let (silent, quick) = (
            remote(Behaviour::Silence).await,
            peers(Duration::from_millis(50)),
        );
        let error = quick.send(&silent.broker, request()).await.unwrap_err();
        assert!(
            matches!(error, Error::TimedOut { broker: 3, .. }),
            "{error}"
        );
        assert!(quick.slots.lock()[&3].try_lock().unwrap().is_none());

        let (wrong, peers) = (remote(Behaviour::WrongCorrelation).await, peers(LONG));
        let error = peers.send(&wrong.broker, request()).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Correlation {
                    asked: 0,
                    got: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(peers.slots.lock()[&3].try_lock().unwrap().is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_connected_to_is_named() {
        let (mut remote, peers) = (remote(Behaviour::Answer).await, peers(LONG));
        remote.broker.endpoints[0].security_protocol = "SSL".to_owned();
        let error = peers.send(&remote.broker, request()).await.unwrap_err();
        assert!(error.to_string().contains("needs SSL"), "{error}");
        remote.broker.endpoints.clear();
        let error = peers.send(&remote.broker, request()).await.unwrap_err();
        assert!(matches!(error, Error::NoListener { .. }), "{error}");
    }
}
