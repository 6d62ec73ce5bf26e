//! A peer of mutls on rustls: `--role client|server`, further flags in ../README.md. Prints one line of JSON a connection.
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::sync::Arc;

use rustls::compress::{BROTLI_COMPRESSOR, BROTLI_DECOMPRESSOR, ZLIB_COMPRESSOR, ZLIB_DECOMPRESSOR};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    SideData, Stream, version,
};

type Failure = Box<dyn std::error::Error>;
type Flags = HashMap<String, String>;

fn main() {
    let flags = flags();
    let run = if flags["role"] == "server" { serve(&flags) } else { connect(&flags) };
    if let Err(failure) = run {
        println!("{{\"error\":{:?}}}", failure.to_string());
        exit(1);
    }
}

fn serve(flags: &Flags) -> Result<(), Failure> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(flags)?), provider(flags)?).build()?;
    let mut config = ServerConfig::builder_with_provider(provider(flags)?)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(flags)?, key(flags)?)?;
    config.alpn_protocols = alpn(flags);
    config.session_storage = ServerSessionMemoryCache::new(32);
    if flags.contains_key("early-data") {
        config.max_early_data_size = 16384;
    }
    (config.cert_compressors, config.cert_decompressors) = compression(flags);
    let config = Arc::new(config);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{{\"port\":{},\"version\":\"rustls {}\"}}", listener.local_addr()?.port(), rustls_version());
    for _ in 0..count(flags) {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let mut tls = ServerConnection::new(config.clone())?;
        let mut early = Vec::new();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
            if let Some(mut data) = tls.early_data() {
                data.read_to_end(&mut early)?;
            }
        }
        let facts = facts(&tls, tls.alpn_protocol(), flags)?;
        let mut lines = 0;
        let mut stream = Stream::new(&mut tls, &mut socket);
        while let Some(line) = read_line(&mut stream)? {
            stream.write_all(line.as_bytes())?;
            stream.flush()?;
            lines += 1;
            if lines == 1 && flags.contains_key("key-update") {
                stream.conn.refresh_traffic_keys()?;
            }
        }
        tls.send_close_notify();
        while tls.wants_write() {
            tls.write_tls(&mut socket)?;
        }
        println!("{{{facts},\"lines\":{lines},\"early\":{:?}}}", String::from_utf8(early)?);
    }
    Ok(())
}

fn connect(flags: &Flags) -> Result<(), Failure> {
    let mut config = ClientConfig::builder_with_provider(provider(flags)?)
        .with_protocol_versions(&[&version::TLS13])?
        .with_root_certificates(roots(flags)?)
        .with_client_auth_cert(chain(flags)?, key(flags)?)?;
    config.alpn_protocols = alpn(flags);
    config.enable_early_data = flags.contains_key("early-data");
    (config.cert_compressors, config.cert_decompressors) = compression(flags);
    let config = Arc::new(config);
    println!("{{\"version\":\"rustls {}\"}}", rustls_version());
    for connection in 0..count(flags) {
        let mut socket = TcpStream::connect(("127.0.0.1", flags["port"].parse::<u16>()?))?;
        socket.set_nodelay(true)?;
        let mut tls = ClientConnection::new(config.clone(), ServerName::try_from("localhost")?)?;
        let mut early = None;
        if connection > 0 && let Some(text) = flags.get("early-data") {
            tls.early_data().ok_or("no early data possible")?.write_all(text.as_bytes())?;
            early = Some(text);
        }
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let early = early.filter(|_| tls.is_early_data_accepted());
        let facts = facts(&tls, tls.alpn_protocol(), flags)?;
        let mut stream = Stream::new(&mut tls, &mut socket);
        let mut lines = 0;
        for line in ["first\n", "second\n"] {
            stream.write_all(line.as_bytes())?;
            stream.flush()?;
            if read_line(&mut stream)?.as_deref() == Some(line) {
                lines += 1;
            }
            if lines == 1 && flags.contains_key("key-update") {
                stream.conn.refresh_traffic_keys()?;
            }
        }
        stream.conn.send_close_notify();
        stream.flush()?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        println!("{{{facts},\"lines\":{lines},\"early\":{:?}}}", early.map_or("", |text| text));
    }
    Ok(())
}

/// What this side saw of the handshake, as members of a JSON object.
fn facts<T: SideData>(tls: &ConnectionCommon<T>, alpn: Option<&[u8]>, flags: &Flags) -> Result<String, Failure> {
    let suite = tls.negotiated_cipher_suite().ok_or("no suite")?.suite();
    let group = tls.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    let kind = tls.handshake_kind().ok_or("no handshake kind")?;
    let mut facts = vec![
        format!("\"protocol\":\"{:?}\"", tls.protocol_version().ok_or("no version")?),
        format!("\"suite\":\"{suite:?}\""),
        format!("\"group\":{:?}", group.unwrap_or_default()),
        format!("\"alpn\":{:?}", String::from_utf8(alpn.unwrap_or_default().to_vec())?),
        format!("\"certificates\":{}", tls.peer_certificates().map_or(0, |chain| chain.len())),
        format!("\"resumed\":{}", matches!(kind, HandshakeKind::Resumed)),
    ];
    if let Some(label) = flags.get("exporter") {
        let bytes = tls.export_keying_material([0u8; 32], label.as_bytes(), None)?;
        facts.push(format!("\"exporter\":\"{}\"", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
    }
    Ok(facts.join(","))
}

fn read_line(stream: &mut impl Read) -> Result<Option<String>, Failure> {
    let mut line = String::new();
    BufReader::with_capacity(1, stream).read_line(&mut line)?;
    Ok(if line.is_empty() { None } else { Some(line) })
}

fn provider(flags: &Flags) -> Result<Arc<CryptoProvider>, Failure> {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(names) = flags.get("groups") {
        provider.kx_groups = names
            .split(',')
            .map(|name| {
                let all = aws_lc_rs::ALL_KX_GROUPS.iter();
                all.copied().find(|group| format!("{:?}", group.name()).eq_ignore_ascii_case(name))
            })
            .collect::<Option<_>>()
            .ok_or("an unknown group")?;
    }
    Ok(Arc::new(provider))
}

fn roots(flags: &Flags) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&flags["ca"])?)?;
    Ok(roots)
}

fn chain(flags: &Flags) -> Result<Vec<CertificateDer<'static>>, Failure> {
    Ok(CertificateDer::pem_file_iter(&flags["cert"])?.collect::<Result<_, _>>()?)
}

fn key(flags: &Flags) -> Result<PrivateKeyDer<'static>, Failure> {
    Ok(PrivateKeyDer::from_pem_file(&flags["key"])?)
}

fn alpn(flags: &Flags) -> Vec<Vec<u8>> {
    flags.get("alpn").map_or(Vec::new(), |name| vec![name.clone().into_bytes()])
}

type Compression =
    (Vec<&'static dyn rustls::compress::CertCompressor>, Vec<&'static dyn rustls::compress::CertDecompressor>);

fn compression(flags: &Flags) -> Compression {
    match flags.get("compress").map(String::as_str) {
        Some("zlib") => (vec![ZLIB_COMPRESSOR], vec![ZLIB_DECOMPRESSOR]),
        Some("brotli") => (vec![BROTLI_COMPRESSOR], vec![BROTLI_DECOMPRESSOR]),
        _ => (Vec::new(), Vec::new()),
    }
}

fn count(flags: &Flags) -> usize {
    flags.get("connections").map_or(1, |count| count.parse().expect("--connections"))
}

fn rustls_version() -> &'static str {
    // Cargo.lock says which.
    let lock = include_str!("../Cargo.lock");
    let at = lock.find("name = \"rustls\"\n").expect("rustls in Cargo.lock");
    lock[at..].split('"').nth(3).expect("a version")
}

fn flags() -> Flags {
    let mut flags = Flags::new();
    let mut rest = std::env::args().skip(1).peekable();
    while let Some(name) = rest.next() {
        let value = rest.next_if(|next| !next.starts_with("--")).unwrap_or_default();
        flags.insert(name.trim_start_matches("--").to_owned(), value);
    }
    flags
}
