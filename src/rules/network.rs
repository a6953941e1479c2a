//! Networks of clients (CIDR, RFC 4632).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::PatternError;

const EXPECTED: PatternError = PatternError("an IP address or a network, such as 192.0.2.7, 10.0.0.0/8 or fd00::/8");

/// A network of IPv4 or IPv6. An IPv4-mapped IPv6 address is the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    /// The length of the prefix, in bits.
    prefix: u32,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Bits beyond the prefix are set, or the network is IPv4 in the form of IPv6: the reader cannot know what is meant.
    #[error("{0}, the network of this address")]
    Imprecise(String),
    /// It has another form.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl Network {
    /// Parses an address, or an address with the length of a prefix.
    ///
    /// # Errors
    /// [`NetworkError`] names the expected text.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
        let bits = bits_of(address);
        let prefix = prefix.map_or(Some(bits), |prefix| parse_prefix(prefix, bits)).ok_or(EXPECTED)?;
        let network = Self::around(address, prefix);
        if network.base == address && network.prefix == prefix {
            return Ok(network);
        }
        Err(NetworkError::Imprecise(network.to_text()))
    }

    /// The network of an address, in its canonical form.
    fn around(address: IpAddr, prefix: u32) -> Self {
        /// The bits that an IPv4-mapped address has in front of the IPv4 address.
        const MAPPED: u32 = 96;
        match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if prefix >= MAPPED => {
                Self::around(mapped.into(), prefix.saturating_sub(MAPPED))
            }
            (IpAddr::V6(address), _) => {
                let host = u128::MAX.checked_shr(prefix).unwrap_or_default();
                Self { base: Ipv6Addr::from_bits(address.to_bits() & !host).into(), prefix }
            }
            (IpAddr::V4(address), _) => {
                let host = u32::MAX.checked_shr(prefix).unwrap_or_default();
                Self { base: Ipv4Addr::from_bits(address.to_bits() & !host).into(), prefix }
            }
        }
    }

    fn to_text(self) -> String {
        if self.prefix == bits_of(self.base) { self.base.to_string() } else { format!("{}/{}", self.base, self.prefix) }
    }

    /// Whether this canonical address is in it.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        self.base.is_ipv4() == address.is_ipv4() && Self::around(address, self.prefix).base == self.base
    }

    /// Whether every address of the other network is in it.
    pub(super) fn covers(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }

    /// Whether it has every address of its version.
    pub(super) const fn is_everything(self) -> bool {
        self.prefix == 0
    }
}

const fn bits_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => Ipv4Addr::BITS,
        IpAddr::V6(_) => Ipv6Addr::BITS,
    }
}

fn parse_prefix(text: &str, bits: u32) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|prefix| is_plain && *prefix <= bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        Network::parse(network).unwrap().contains(address.to_canonical())
    }

    #[test]
    fn a_network_contains_its_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["9.255.255.255", "11.0.0.0", "::a00:1"]),
            (
                "192.0.2.7",
                ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"],
                ["192.0.2.6", "192.0.2.8", "::192.0.2.7"],
            ),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], ["::", "2001:db8::", "::1.2.3.4"]),
            ("172.16.0.0/12", ["172.16.0.0", "172.31.255.255", "172.20.1.1"], ["172.15.255.255", "172.32.0.0", "::"]),
            ("fd00::/8", ["fd00::", "fdff::1", "fd12:3456::7"], ["fc00::", "fe00::", "253.0.0.0"]),
            (
                "2001:db8::1",
                ["2001:db8::1", "2001:DB8::1", "2001:db8:0:0::1"],
                ["2001:db8::2", "2001:db8::", "32.1.13.184"],
            ),
            ("::/0", ["::", "ffff::", "2001:db8::"], ["1.2.3.4", "::ffff:1.2.3.4", "0.0.0.0"]),
        ] {
            for address in inside {
                assert!(contains(network, address), "{network} {address}");
            }
            for address in outside {
                assert!(!contains(network, address), "{network} {address}");
            }
        }
    }

    #[test]
    fn an_invalid_network_is_refused_and_the_intended_one_suggested() {
        for (text, meant) in [
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("fd00::1/8", "fd00::/8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:1.2.3.4/64", "::/64"),
        ] {
            assert_eq!(Network::parse(text), Err(NetworkError::Imprecise(meant.to_owned())), "{text}");
            assert!(Network::parse(meant).is_ok(), "{meant}");
        }
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/00",
            "10.0.0.0/8/8",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0 /8",
            "10/8",
            "10.0.0/8",
            "010.0.0.0/8",
            "0x0a.0.0.0/8",
            "10.*",
            "::/129",
            "fe80::1%eth0",
            "[::1]",
            "[fd00::]/8",
            "192.0.2.7:80",
            "localhost",
            "10.0.0.0/4294967304",
            "10.0.0.0-10.0.0.9",
        ] {
            assert_eq!(Network::parse(text), Err(EXPECTED.into()), "{text}");
        }
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        ]
    }

    proptest! {
        #[test]
        fn a_network_round_trips_and_contains_addresses_with_its_prefix(of in address(), to in address(), prefix in 0_u32..=128) {
            let prefix = prefix.min(bits_of(of));
            let network = Network::around(of, prefix);
            prop_assert_eq!(Network::parse(&network.to_text()), Ok(network));
            prop_assert!(network.contains(of));
            let first = |address: IpAddr| match address {
                IpAddr::V4(address) => format!("4{:032b}", address.to_bits()),
                IpAddr::V6(address) => format!("6{:0128b}", address.to_bits()),
            };
            let length = 1 + prefix as usize;
            prop_assert_eq!(network.contains(to), first(of).get(..length).is_some_and(|same| first(to).starts_with(same)));
            let wider = Network::around(of, prefix / 2);
            prop_assert!(wider.covers(network) && (wider == network || !network.covers(wider)));
        }
    }
}
