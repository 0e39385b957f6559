//! The broker daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use broker::{Config, Running};
use clap::Parser;
use common::{notify, shutdown, telemetry};

/// Requests are read on one thread and answered on another, with many small allocations
/// between: the C library's allocator spends more on its locks and lists than on those.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Kafka broker in ZooKeeper mode.
#[derive(Debug, Parser)]
#[command(name = "broker", version)]
struct Arguments {
    /// A properties file with Kafka's keys (server.properties).
    config: PathBuf,
    /// Sets a key, above the file; may be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::load(&arguments.config, &arguments.overrides) {
        Ok(config) => config,
        Err(error) => {
            telemetry::init("info");
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    telemetry::init(&config.log_level);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Tasks that did not fit into a worker's own queue wait in the common one. By
        // default that is looked at so seldom that with a thousand busy connections
        // some are answered five times as late as others. With 1 those in a worker's
        // own queue would wait until the common one is empty, which may be never.
        .global_queue_interval(2)
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let coordinator = config.coordinator.connect.clone();
    let dirs: Vec<_> = config
        .log_dirs
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    let running = tokio::select! {
        started = broker::start(config) => started?,
        signal = shutdown::stop_signal() => {
            tracing::info!("{}: stopped before the start was complete", signal?);
            return Ok(());
        }
    };
    let stop = running.shutdown();
    let requested = stop.clone();
    let signal = common::task::spawn("signals", async move {
        match shutdown::stop_signal().await {
            Ok(signal) => tracing::info!("{signal}: stopping"),
            Err(error) => tracing::error!(%error, "signals cannot be received"),
        }
        notify::stopping();
        requested.request();
    });
    tokio::select! {
        () = running.until_ready() => announce(&running, &coordinator, &dirs),
        () = stop.requested() => {}
    }
    running.wait().await?;
    signal.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Tells everybody that clients are served.
fn announce(running: &Running, coordinator: &str, dirs: &[String]) {
    tracing::info!(
        "broker {} ({}) serves clients on {}{}",
        running.broker_id(),
        env!("CARGO_PKG_VERSION"),
        listeners(running),
        admin(running),
    );
    tracing::info!(
        "cluster {}, coordinator {coordinator}, data in {}",
        running.cluster_id(),
        dirs.join(", ")
    );
    notify::ready(&format!(
        "Broker {} serves on {}",
        running.broker_id(),
        listeners(running)
    ));
}

fn listeners(running: &Running) -> String {
    let shown = running.ports().iter();
    let shown: Vec<_> = shown
        .map(|(name, port)| format!("{name}://:{port}"))
        .collect();
    shown.join(", ")
}

fn admin(running: &Running) -> String {
    running
        .admin_address()
        .map(|address| format!(", operators on http://{address}/"))
        .unwrap_or_default()
}
