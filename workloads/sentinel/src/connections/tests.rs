use axum::{extract::State, routing::get};
use hyper::{Response, StatusCode, header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;

/// More than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than the kernel takes on both sides.
const LARGE: usize = 64 * 1024 * 1024;

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    /// Lets `/slow` answer.
    answer: Arc<Notify>,
}

async fn server(most: usize, head_timeout: Duration) -> Server {
    serve(Connections { head_timeout, ..Connections::at_most(most) }).await
}

/// A server whose routes are the client's address, an answer that has to be waited for, one that fits no buffer, and an echo
/// after an upgrade.
async fn serve(connections: Connections) -> Server {
    let answer = Arc::new(Notify::new());
    let slow = |State(answer): State<Arc<Notify>>| async move {
        answer.notified().await;
        "slow\n"
    };
    let router = Router::new()
        .route("/", get(|ConnectInfo(client): ConnectInfo<SocketAddr>| async move { format!("{client}\n") }))
        .route("/slow", get(slow))
        .route("/large", get(|| async { vec![0_u8; LARGE] }))
        .route("/echo", get(echo))
        .with_state(Arc::clone(&answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let stopped = async { drop(stopped.await) };
    let ended = tokio::spawn(connections.serve(listener, router, stopped));
    Server { address, stop, ended, answer }
}

async fn echo(request: Request) -> Response<axum::body::Body> {
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(hyper::upgrade::on(request).await.unwrap()));
        tokio::io::copy(&mut read, &mut write).await
    });
    let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    switching.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "echo").body(().into()).unwrap()
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection that echoes.
    async fn upgraded(&self) -> TcpStream {
        let mut socket = self.connect().await;
        let upgrade = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        socket.write_all(upgrade).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        socket
    }

    /// A new connection that was answered, as soon as there is room for it.
    async fn connect_when_there_is_room(&self) -> TcpStream {
        let connected = async {
            loop {
                let mut stream = self.connect().await;
                if ask(&mut stream, "/").await.is_ok() {
                    return stream;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, connected).await.expect("room comes back")
    }
}

/// Sends a request and reads the body of its answer, whose last byte is a line's end.
async fn ask(stream: &mut TcpStream, path: &str) -> io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: chat.example.com\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    loop {
        let mut bytes = [0; 1024];
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        if let Some((_, body)) = answer.split_once("\r\n\r\n")
            && body.ends_with('\n')
        {
            return Ok(body.trim_end().to_owned());
        }
    }
}

/// Whether the other side ends the connection without an answer.
async fn is_ended(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    matches!(timeout(PATIENCE, stream.read(&mut byte)).await.expect("it ends"), Ok(0) | Err(_))
}

#[tokio::test]
async fn a_head_that_never_gets_whole_is_not_waited_for_and_holds_up_nobody() {
    let server = server(2, Duration::from_millis(500)).await;
    let mut silent = server.connect().await;
    let dripping = server.connect().await;
    let (mut read, mut write) = dripping.into_split();
    write.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let drip = tokio::spawn(async move {
        while write.write_all(b"X-More: follows\r\n").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let ended = async { while read.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} };
    timeout(PATIENCE, ended).await.expect("its time does not begin anew with each line");
    timeout(PATIENCE, drip).await.unwrap().unwrap();
    assert!(is_ended(&mut silent).await, "nor is one waited for that sends nothing");
    server.connect_when_there_is_room().await;
}

#[tokio::test]
async fn a_connection_rests_between_requests_for_longer_than_nginx_keeps_it() {
    let nginx_keeps_it = Duration::from_mins(1);
    assert!(Connections::at_most(1).head_timeout > nginx_keeps_it + Duration::from_secs(10));

    let head_timeout = Duration::from_secs(2);
    let server = server(1, head_timeout).await;
    let mut stream = server.connect().await;
    let client = stream.local_addr().unwrap().to_string();
    // Together the rests are longer than the time for a head: it begins anew with each.
    for _ in 0..3 {
        assert_eq!(ask(&mut stream, "/").await.unwrap(), client);
        sleep(head_timeout / 2).await;
    }
    assert!(is_ended(&mut stream).await);
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let server = server(1, Duration::from_millis(100)).await;
    let mut stream = server.connect().await;
    let answer = Arc::clone(&server.answer);
    tokio::spawn(async move {
        sleep(Duration::from_millis(500)).await;
        answer.notify_one();
    });
    assert_eq!(ask(&mut stream, "/slow").await.unwrap(), "slow");
}

#[tokio::test]
async fn those_beyond_the_room_are_closed_and_the_others_stay() {
    let server = server(2, PATIENCE).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    ask(&mut first, "/").await.unwrap();
    ask(&mut second, "/").await.unwrap();
    for _ in 0..50 {
        assert!(is_ended(&mut server.connect().await).await);
    }
    ask(&mut first, "/").await.unwrap();
    ask(&mut second, "/").await.unwrap();
    drop(first);
    server.connect_when_there_is_room().await;
    ask(&mut second, "/").await.unwrap();
}

#[tokio::test]
async fn what_became_another_protocol_may_be_silent_and_has_its_place_until_it_ends() {
    let head_timeout = Duration::from_millis(200);
    let server = server(1, head_timeout).await;
    let mut socket = server.upgraded().await;
    sleep(head_timeout * 3).await;
    assert!(is_ended(&mut server.connect().await).await);
    socket.write_all(b"still there?").await.unwrap();
    let mut echoed = [0; 12];
    timeout(PATIENCE, socket.read_exact(&mut echoed)).await.unwrap().unwrap();
    assert_eq!(&echoed, b"still there?");
    drop(socket);
    server.connect_when_there_is_room().await;
}

#[tokio::test]
async fn who_never_reads_is_not_waited_for() {
    let server = serve(Connections { stalled_after: Duration::from_secs(1), ..Connections::at_most(1) }).await;
    let mut deaf = server.connect().await;
    deaf.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    // While it is there, nobody else is let in.
    drop(server.connect_when_there_is_room().await);

    let server = serve(Connections { stalled_after: Duration::from_secs(1), ..Connections::at_most(1) }).await;
    let mut socket = server.upgraded().await;
    let bytes = vec![0; 65_536];
    let echoed = async { while socket.write_all(&bytes).await.is_ok() {} };
    timeout(PATIENCE, echoed).await.expect("the other side ends what became another protocol, too");
}

#[tokio::test]
async fn who_reads_slowly_may_take_long() {
    let stalled_after = Duration::from_secs(2);
    let server = serve(Connections { stalled_after, ..Connections::at_most(1) }).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let begin = Instant::now();
    let mut bytes = vec![0; 512 * 1024];
    while begin.elapsed() < stalled_after * 2 {
        assert!(timeout(PATIENCE, slow.read(&mut bytes)).await.unwrap().is_ok_and(|read| read > 0));
        sleep(Duration::from_millis(100)).await;
    }
    let mut rest = Vec::new();
    timeout(PATIENCE, slow.read_to_end(&mut rest)).await.unwrap().expect("it gets all of it");
    assert!(!rest.is_empty(), "the connection was there for what did not fit into buffers");
}

#[tokio::test]
async fn at_the_stop_requests_in_flight_are_answered_and_nothing_else_is_waited_for() {
    let server = server(4, PATIENCE).await;
    let mut resting = server.connect().await;
    ask(&mut resting, "/").await.unwrap();
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    let answered = tokio::spawn(async move { ask(&mut busy, "/slow").await });
    // Until all of them are seen.
    sleep(Duration::from_millis(300)).await;

    server.stop.send(()).unwrap();
    assert!(is_ended(&mut resting).await);
    assert!(is_ended(&mut silent).await);
    assert!(TcpStream::connect(server.address).await.is_err(), "no connection is accepted");
    assert!(!server.ended.is_finished(), "one request is not answered");
    server.answer.notify_one();
    assert_eq!(answered.await.unwrap().unwrap(), "slow");
    timeout(PATIENCE, server.ended).await.expect("it ends").unwrap();
}

#[test]
fn refusals_are_told_at_once_and_then_once_a_minute() {
    let mut refused = Refused::default();
    let begin = Instant::now();
    let told: Vec<_> = [0, 1, 59, 60, 61, 300]
        .into_iter()
        .filter_map(|second| Some((second, refused.count(begin + Duration::from_secs(second))?)))
        .collect();
    assert_eq!(told, [(0, 1), (60, 3), (300, 2)]);
}
