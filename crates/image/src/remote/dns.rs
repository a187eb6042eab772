//! A small stub resolver: `/etc/hosts`, then the servers of `/etc/resolv.conf`, UDP first and TCP for long answers.
//!
//! The C library's resolver is never used: in a static program it loads modules from whatever root file system it
//! finds itself in (CVE-2019-14271).

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

const PORT: u16 = 53;
/// `/etc/hosts` and `/etc/resolv.conf` are read up to this size.
const FILE_LIMIT: u64 = 1 << 20;
/// Addresses of one name at most.
const ADDRESS_LIMIT: usize = 16;

/// What `/etc/resolv.conf` says (resolv.conf(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: u32,
}

impl Settings {
    /// Reads the text; unknown lines are skipped, absent servers mean this host.
    pub(crate) fn parse(text: &str) -> Self {
        let mut settings =
            Self { servers: Vec::new(), search: Vec::new(), ndots: 1, timeout: Duration::from_secs(5), attempts: 2 };
        for line in text.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or("").split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => settings.servers.extend(words.next().and_then(server)),
                Some("search") => settings.search = words.map(str::to_owned).collect(),
                Some("domain") => settings.search = words.next().map(str::to_owned).into_iter().collect(),
                Some("options") => words.for_each(|word| settings.option(word)),
                _ => {}
            }
        }
        settings.servers.truncate(3);
        settings.search.truncate(6);
        if settings.servers.is_empty() {
            settings.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        settings
    }

    fn option(&mut self, word: &str) {
        let Some((key, value)) = word.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match key {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for, in order (the search list is tried first for short names).
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(absolute) = host.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{host}.{}", domain.trim_end_matches('.')));
        if host.matches('.').count() >= self.ndots {
            std::iter::once(host.to_owned()).chain(searched).collect()
        } else {
            searched.chain(std::iter::once(host.to_owned())).collect()
        }
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    let address = text.split('%').next()?.parse::<IpAddr>().ok()?;
    Some(SocketAddr::from((address, PORT)))
}

/// Addresses that `/etc/hosts` gives a name.
fn hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_ascii_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        if words.any(|name| name.eq_ignore_ascii_case(host)) {
            found.push(address);
        }
    }
    found
}

fn read(path: &str) -> String {
    let mut text = String::new();
    // An unreadable or absent file says nothing, as resolv.conf(5) has it.
    match std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text)) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

/// Addresses of `host`: those that can be routed to first.
///
/// # Errors
/// In words, with the servers that were asked.
pub(crate) fn lookup(host: &str) -> Result<Vec<IpAddr>, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![address]);
    }
    let listed = hosts(&read("/etc/hosts"), bare.trim_end_matches('.'));
    if !listed.is_empty() {
        return Ok(in_order(listed));
    }
    // RFC 6761: these never leave the machine.
    if bare == "localhost" || bare.ends_with(".localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    ask_servers(&Settings::parse(&read("/etc/resolv.conf")), bare).map(in_order)
}

fn ask_servers(settings: &Settings, host: &str) -> Result<Vec<IpAddr>, String> {
    let mut trouble = None;
    for name in settings.candidates(host) {
        match ask(settings, &name) {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(_) => {}
            Err(why) => trouble = Some(why),
        }
    }
    Err(trouble.unwrap_or_else(|| format!("the name {host} does not exist")))
}

/// Addresses without a route (often all of IPv6) last: a connected datagram socket tells without sending anything.
fn in_order(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let routed = |address: &IpAddr| {
        let any: SocketAddr = match address {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        UdpSocket::bind(any).and_then(|socket| socket.connect((*address, PORT))).is_ok()
    };
    let (mut good, bad): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(routed);
    good.extend(bad);
    good.truncate(ADDRESS_LIMIT);
    good
}

/// Asks for A and AAAA; an empty answer means that the name does not exist.
fn ask(settings: &Settings, name: &str) -> Result<Vec<IpAddr>, String> {
    let mut trouble = String::new();
    for _ in 0..settings.attempts {
        for server in &settings.servers {
            match ask_one(*server, name, settings.timeout) {
                Ok(found) => return Ok(found),
                Err(why) => trouble = format!("the name server {} {why} when asked for {name}", server.ip()),
            }
        }
    }
    Err(trouble)
}

fn ask_one(server: SocketAddr, name: &str, timeout: Duration) -> Result<Vec<IpAddr>, String> {
    let mut wanted = vec![(fresh_id()?, TYPE::A), (fresh_id()?, TYPE::AAAA)];
    if wanted[0].0 == wanted[1].0 {
        wanted[1].0 ^= 1;
    }
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let failed = |cause: std::io::Error| format!("could not be reached ({cause})");
    // Connected: only the server's datagrams arrive, on a port that the kernel chose at random.
    let socket = UdpSocket::bind(any).map_err(failed)?;
    socket.connect(server).map_err(failed)?;
    for (id, kind) in &wanted {
        socket.send(&query(*id, name, *kind)?).map_err(failed)?;
    }
    let (mut found, end) = (Vec::new(), Instant::now() + timeout);
    let mut buffer = vec![0u8; 65_535];
    while !wanted.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("did not answer in time".into());
        }
        socket.set_read_timeout(Some(left)).map_err(failed)?;
        let count = match socket.recv(&mut buffer) {
            Ok(count) => count,
            Err(cause) if matches!(cause.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(cause) => return Err(failed(cause)),
        };
        // A datagram that answers none of our questions is somebody's guess: it is ignored.
        let Some(at) = wanted.iter().position(|(id, kind)| answers(&buffer[..count], *id, name, *kind)) else {
            continue;
        };
        let (id, kind) = wanted.swap_remove(at);
        let truncated = simple_dns::header_buffer::has_flags(&buffer[..count], PacketFlag::TRUNCATION).unwrap_or(false);
        if truncated {
            found.extend(addresses(&by_tcp(server, &query(id, name, kind)?, left)?)?);
        } else {
            found.extend(addresses(&buffer[..count])?);
        }
    }
    Ok(found)
}

fn fresh_id() -> Result<u16, String> {
    let random = bulkhead_sys::random::bytes32().map_err(|cause| cause.to_string())?;
    Ok(u16::from_ne_bytes([random[0], random[1]]))
}

fn query(id: u16, name: &str, kind: TYPE) -> Result<Vec<u8>, String> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|_| format!("cannot be asked: {name:?} is no host name"))?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(|cause| cause.to_string())
}

/// True if this datagram repeats our id and question.
fn answers(bytes: &[u8], id: u16, name: &str, kind: TYPE) -> bool {
    let Ok(packet) = Packet::parse(bytes) else { return false };
    let question_fits = packet.questions.first().is_some_and(|question| {
        question.qname.to_string().eq_ignore_ascii_case(name.trim_end_matches('.'))
            && question.qtype == QTYPE::TYPE(kind)
    });
    packet.id() == id && packet.has_flags(PacketFlag::RESPONSE) && question_fits
}

fn addresses(bytes: &[u8]) -> Result<Vec<IpAddr>, String> {
    let packet = Packet::parse(bytes).map_err(|cause| format!("answered with nonsense ({cause})"))?;
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Ok(Vec::new()),
        other => return Err(format!("answered {other:?}")),
    }
    let address = |record: &simple_dns::ResourceRecord<'_>| match &record.rdata {
        RData::A(a) => Some(IpAddr::from(Ipv4Addr::from(a.address))),
        RData::AAAA(aaaa) => Some(IpAddr::from(Ipv6Addr::from(aaaa.address))),
        _ => None,
    };
    Ok(packet.answers.iter().filter_map(address).collect())
}

fn by_tcp(server: SocketAddr, question: &[u8], timeout: Duration) -> Result<Vec<u8>, String> {
    let failed = |cause: std::io::Error| format!("could not be reached by TCP ({cause})");
    let mut stream = TcpStream::connect_timeout(&server, timeout).map_err(failed)?;
    stream.set_read_timeout(Some(timeout)).map_err(failed)?;
    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
    let length = u16::try_from(question.len()).map_err(|_| "cannot be asked: the name is too long".to_owned())?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).map_err(failed)?;
    let mut length = [0u8; 2];
    stream.read_exact(&mut length).map_err(failed)?;
    let mut answer = vec![0u8; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).map_err(failed)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_hosts_files() {
        let settings =
            Settings::parse("# x\nnameserver 10.0.0.1\nnameserver ::1\nsearch a.b c\noptions ndots:2 timeout:1\n");
        assert_eq!(settings.servers, ["10.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!(settings.candidates("x.y"), ["x.y.a.b", "x.y.c", "x.y"]);
        assert_eq!(settings.candidates("x.y.z"), ["x.y.z", "x.y.z.a.b", "x.y.z.c"]);
        assert_eq!(settings.candidates("x."), ["x"]);
        assert_eq!(Settings::parse("").servers, ["127.0.0.1:53".parse().unwrap()]);
        let text = "127.0.0.1 localhost\n10.1.1.1 reg Reg.lan # reg2\nfd00::1 reg\n";
        assert_eq!(hosts(text, "REG"), ["10.1.1.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
        assert!(hosts(text, "reg2").is_empty());
        assert_eq!(lookup("[::1]"), Ok(vec!["::1".parse().unwrap()]));
        assert!(lookup("x.localhost").unwrap()[0].is_loopback());
    }

    /// A real name server on loopback: forged datagrams first, then an answer too long for UDP.
    #[test]
    fn ignores_forgeries_and_falls_back_to_tcp() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).unwrap();
        let reply = |bytes: &[u8], records: bool| {
            let query = Packet::parse(bytes).unwrap();
            let mut reply = query.clone().into_reply();
            let question = &query.questions[0];
            if records && question.qtype == QTYPE::TYPE(TYPE::A) {
                for last in 1..=40 {
                    let rdata = RData::A(simple_dns::rdata::A { address: 0x0a00_0000 + last });
                    reply.answers.push(simple_dns::ResourceRecord::new(question.qname.clone(), CLASS::IN, 1, rdata));
                }
            } else if !records {
                reply.set_flags(PacketFlag::TRUNCATION);
            }
            (reply.build_bytes_vec().unwrap(), question.qtype == QTYPE::TYPE(TYPE::A))
        };
        let server = std::thread::spawn(move || {
            let mut buffer = [0u8; 512];
            for _ in 0..2 {
                let (count, from) = udp.recv_from(&mut buffer).unwrap();
                let (mut forged, _) = reply(&buffer[..count], true);
                forged[0] ^= 0xff;
                udp.send_to(&forged, from).unwrap();
                let is_a = reply(&buffer[..count], true).1;
                udp.send_to(&reply(&buffer[..count], !is_a).0, from).unwrap();
            }
            let (mut stream, _) = tcp.accept().unwrap();
            let count = stream.read(&mut buffer).unwrap();
            let (answer, _) = reply(&buffer[2..count], true);
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        });
        let found = ask_one(address, "registry.test", Duration::from_secs(5)).unwrap();
        assert_eq!(found.len(), 40);
        assert_eq!(found[0], "10.0.0.1".parse::<IpAddr>().unwrap());
        server.join().unwrap();
    }
}
