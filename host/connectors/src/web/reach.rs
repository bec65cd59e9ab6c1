//! Which addresses may be reached: public ones, and those in a range that the connector's file names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Ranges of IPv4 that are not public, with a word for each. From IANA's registry of special-purpose addresses.
const NOT_PUBLIC_V4: [(Ipv4Net, &str); 16] = [
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "shared by a carrier"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "reserved for protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "a relay to IPv6"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "for benchmarks"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
];

/// What of IPv6 is public, with the exceptions below: everything else is not assigned, local, or stands for an address of another kind.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Ranges within the public one that are not public.
const NOT_PUBLIC_V6: [(Ipv6Net, &str); 4] = [
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "reserved for protocols"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "for documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "an IPv4 address in IPv6"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation"),
];

/// Ranges of IPv6 whose addresses hold one of IPv4, and at which byte it begins.
const TRANSLATED: [(Ipv6Net, usize); 5] = [
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), 12),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), 12),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), 12),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), 12),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), 2),
];

/// Where clouds tell a machine its own credentials. Only a range of this one address names it: whoever opens a network does not mean to open this.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(s: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = s;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

/// What may be reached beside public addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach {
    named: Vec<IpNet>,
}

impl Reach {
    /// Takes the ranges that the connector's file names.
    pub(crate) fn new(named: Vec<IpNet>) -> Self {
        Self { named }
    }

    /// Checks an address that a name led to.
    ///
    /// # Errors
    /// Why it may not be reached.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), String> {
        if METADATA.contains(&address) {
            let is_named = self.named.iter().any(|range| range.addr() == address && range.prefix_len() == range.max_prefix_len());
            return if is_named {
                Ok(())
            } else {
                Err(format!("{address} is the metadata service of a cloud, and `reach` does not name it alone"))
            };
        }
        let Some(kind) = kind(address) else { return Ok(()) };
        if !self.is_named(address) {
            return Err(format!("{address} is {kind}, and `reach` does not name its range"));
        }
        // Naming the range of translated addresses says nothing of where they lead.
        match inner(address) {
            Some(inner) => self.check(inner),
            None => Ok(()),
        }
    }

    /// Checks an address that a request names itself: only where a range names it, since there is no name that a grant could have meant.
    ///
    /// # Errors
    /// Why it may not be reached.
    pub(crate) fn check_literal(&self, address: IpAddr) -> Result<(), String> {
        match self.is_named(address) {
            true => self.check(address),
            false => Err(format!("{address} is no name, and `reach` does not name its range")),
        }
    }

    fn is_named(&self, address: IpAddr) -> bool {
        self.named.iter().any(|range| range.contains(&address))
    }
}

/// Says what an address is that is not public.
fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        // The most exact word is the last.
        IpAddr::V4(v4) => NOT_PUBLIC_V4.iter().rev().find(|(range, _)| range.contains(&v4)).map(|(_, kind)| *kind),
        IpAddr::V6(v6) if PUBLIC_V6.contains(&v6) => NOT_PUBLIC_V6.iter().find(|(range, _)| range.contains(&v6)).map(|(_, kind)| *kind),
        IpAddr::V6(v6) if v6.is_loopback() => Some("loopback"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("no address"),
        IpAddr::V6(v6) if v6.is_unique_local() => Some("private"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local"),
        IpAddr::V6(v6) if v6.is_multicast() => Some("multicast"),
        IpAddr::V6(_) if inner(address).is_some() => Some("an IPv4 address in IPv6"),
        IpAddr::V6(_) => Some("reserved"),
    }
}

/// Gives the IPv4 address that one of IPv6 holds.
fn inner(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else { return None };
    if v6.is_loopback() || v6.is_unspecified() {
        return None;
    }
    let (_, at) = TRANSLATED.iter().find(|(range, _)| range.contains(&v6))?;
    let bytes: [u8; 4] = v6.octets().get(*at..*at + 4)?.try_into().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(bytes)))
}

/// Reads a range of the connector's file; says what is wrong and what to do.
pub(crate) fn read_range(text: &str) -> Result<IpNet, (String, String)> {
    let range: IpNet = text.parse().map_err(|_| {
        (format!("`{text}` is no range of addresses"), "write for example `10.20.0.0/16`, or `10.20.0.7/32` for one address".to_owned())
    })?;
    if range.addr() != range.network() {
        return Err((format!("`{text}` begins in the middle of a range"), format!("write `{}`", range.trunc())));
    }
    // The largest ranges of one kind: 10.0.0.0/8 and fc00::/7. What is larger names what its author did not think of.
    let shortest = if matches!(range, IpNet::V4(_)) { 8 } else { 7 };
    if range.prefix_len() < shortest {
        return Err((format!("`{text}` is more than one range"), "name each range that is meant".to_owned()));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(ranges: &[&str]) -> Reach {
        Reach::new(ranges.iter().map(|range| read_range(range).unwrap()).collect())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_public_addresses_are_reached_by_default() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2a00::1",
        ] {
            assert_eq!(reach(&[]).check(address(public)), Ok(()), "{public}");
        }
        for (refused, kind) in [
            ("0.0.0.0", "this network"),
            ("0.1.2.3", "this network"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "carrier"),
            ("100.127.255.255", "carrier"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("169.254.0.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("169.254.170.2", "metadata"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.1", "protocols"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "relay"),
            ("192.168.0.1", "private"),
            ("198.18.0.1", "benchmarks"),
            ("198.19.255.255", "benchmarks"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "no address"),
            ("::1", "loopback"),
            ("::2", "IPv4 address in IPv6"),
            ("::ffff:127.0.0.1", "IPv4 address in IPv6"),
            ("::ffff:1.1.1.1", "IPv4 address in IPv6"),
            ("::7f00:1", "IPv4 address in IPv6"),
            ("64:ff9b::7f00:1", "IPv4 address in IPv6"),
            ("64:ff9b:1::7f00:1", "IPv4 address in IPv6"),
            ("2002:7f00:1::", "IPv4 address in IPv6"),
            ("2001::1", "protocols"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("100::1", "reserved"),
            ("5f00::1", "reserved"),
            ("4000::1", "reserved"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "metadata"),
            ("fe80::1", "link-local"),
            ("fec0::1", "reserved"),
            ("ff02::1", "multicast"),
        ] {
            let why = reach(&[]).check(address(refused)).unwrap_err();
            assert!(why.contains(kind), "{refused}: {why}");
        }
    }

    #[test]
    fn a_range_opens_itself_and_nothing_else() {
        let reach = reach(&["10.20.0.0/16", "::1/128", "169.254.0.0/16"]);
        for good in ["10.20.0.0", "10.20.255.255", "::1", "169.254.1.1", "1.1.1.1"] {
            assert_eq!(reach.check(address(good)), Ok(()), "{good}");
        }
        for bad in ["10.19.255.255", "10.21.0.0", "127.0.0.1", "::2", "::ffff:10.20.0.1", "169.254.169.254"] {
            assert!(reach.check(address(bad)).is_err(), "{bad}");
        }
        assert_eq!(reach.check_literal(address("10.20.0.1")), Ok(()));
        assert!(reach.check_literal(address("1.1.1.1")).is_err(), "a literal needs a range, public or not");
    }

    #[test]
    fn the_metadata_service_is_named_alone_or_not_at_all() {
        assert!(reach(&["169.254.169.0/24"]).check(address("169.254.169.254")).is_err());
        assert_eq!(reach(&["169.254.169.254/32"]).check(address("169.254.169.254")), Ok(()));
        assert!(reach(&["169.254.169.254/32"]).check(address("169.254.169.253")).is_err());
        assert!(reach(&["168.63.0.0/16"]).check(address("168.63.129.16")).is_err());
    }

    #[test]
    fn a_translated_address_needs_both_ranges() {
        for (held, translated) in [("::ffff:10.0.0.1", "::ffff:0:0/96"), ("64:ff9b::a00:1", "64:ff9b::/96"), ("2002:a00:1::", "2002::/16")]
        {
            assert!(reach(&[translated]).check(address(held)).is_err(), "{held}");
            assert!(reach(&["10.0.0.0/8"]).check(address(held)).is_err(), "{held}");
            assert_eq!(reach(&[translated, "10.0.0.0/8"]).check(address(held)), Ok(()), "{held}");
        }
        assert!(reach(&["::ffff:0:0/96", "169.254.0.0/16"]).check(address("::ffff:169.254.169.254")).is_err());
        assert_eq!(reach(&["::ffff:0:0/96"]).check(address("::ffff:1.1.1.1")), Ok(()));
    }

    #[test]
    fn a_range_that_is_none_is_refused_with_a_next_step() {
        for (text, what, help) in [
            ("10.0.0.1", "no range", "10.20.0.7/32"),
            ("loopback", "no range", "10.20.0.0/16"),
            ("10.0.0.1/8", "in the middle", "write `10.0.0.0/8`"),
            ("0.0.0.0/0", "more than one range", "each range"),
            ("8.0.0.0/7", "more than one range", "each range"),
            ("::/0", "more than one range", "each range"),
            ("10.0.0.0/33", "no range", ""),
        ] {
            let (message, next) = read_range(text).unwrap_err();
            assert!(message.contains(what) && next.contains(help), "{text}: {message}: {next}");
        }
        assert!(read_range("10.0.0.0/8").is_ok() && read_range("fc00::/7").is_ok());
    }
}
