//! Which IP addresses are public unicast: the only ones that a stranger may have us connect to.
//!
//! The tables are IANA's special-purpose address registries (RFC 6890 and its updates, as of 2026)
//! without what they call globally reachable. An IPv6 address that carries an IPv4 address through
//! a translator is judged by what it carries; tunnels (6to4, Teredo) end wherever the address says
//! and are refused altogether.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks that are not public unicast, with the length of their prefix.
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network, RFC 791
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private, RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by carriers' NAT, RFC 6598
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback, RFC 1122
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local and clouds' metadata, RFC 3927
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private, RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments, RFC 6890
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation, RFC 5737
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays, RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private, RFC 1918
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking, RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation, RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation, RFC 5737
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast, RFC 5771
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved and broadcast, RFC 1112, RFC 919
];

/// Blocks within IPv6's global unicast space that are not public, with the length of their prefix.
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // assignments, Teredo, benchmarking, RFC 2928
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation, RFC 3849
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, RFC 3056
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation, RFC 9637
];

/// All that is ever handed out to hosts on the internet (RFC 4291 §2.4): unique local, link-local,
/// site-local, multicast, loopback and IPv4-compatible addresses lie outside.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks of IPv6 addresses whose last 32 bits are an IPv4 address.
const CARRIERS: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), // IPv4-mapped, RFC 4291 §2.5.5.2
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96), // NAT64, RFC 6052
];

/// Whether `address` is that of one host on the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|block| within_v4(v4, block)),
        IpAddr::V6(v6) if CARRIERS.iter().any(|block| within_v6(v6, block)) => {
            let [.., a, b, c, d] = v6.octets();
            is_public(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(v6) => {
            within_v6(v6, &GLOBAL_UNICAST) && !SPECIAL_V6.iter().any(|block| within_v6(v6, block))
        }
    }
}

fn within_v4(address: Ipv4Addr, (block, prefix): &(Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= *prefix
}

fn within_v6(address: Ipv6Addr, (block, prefix): &(Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= *prefix
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn public(text: &str) -> bool {
        is_public(text.parse().expect("an address"))
    }

    #[test]
    fn takes() {
        let addresses = "\
            1.1.1.1 8.8.8.8 93.184.216.34 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 \
            126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 \
            192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 \
            2a00:1450:4001:81b::200e 2001:4860:4860::8888 2001:200:: 2003::1 ::ffff:8.8.8.8 \
            64:ff9b::8.8.8.8";
        for address in addresses.split_whitespace() {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn refuses() {
        let addresses = "\
            0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.0 100.127.255.255 100.100.100.200 \
            127.0.0.1 127.255.255.255 169.254.0.0 169.254.169.254 172.16.0.1 172.31.255.255 \
            192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 \
            198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255";
        for address in addresses.split_whitespace() {
            assert!(!public(address), "{address}");
        }
    }

    #[rstest]
    #[case::unspecified("::")]
    #[case::loopback("::1")]
    #[case::v4_compatible("::8.8.8.8")]
    #[case::v4_compatible_loopback("::127.0.0.1")]
    #[case::mapped_loopback("::ffff:127.0.0.1")]
    #[case::mapped_private("::ffff:10.0.0.1")]
    #[case::mapped_metadata("::ffff:169.254.169.254")]
    #[case::translated("::ffff:0:8.8.8.8")]
    #[case::nat64_private("64:ff9b::10.0.0.1")]
    #[case::nat64_metadata("64:ff9b::169.254.169.254")]
    #[case::nat64_local("64:ff9b:1::8.8.8.8")]
    #[case::discard("100::1")]
    #[case::teredo("2001::1")]
    #[case::teredo_of_a_public_server("2001:0:808:808::")]
    #[case::benchmarking("2001:2::1")]
    #[case::orchid("2001:20::1")]
    #[case::last_assignment("2001:1ff:ffff::1")]
    #[case::documentation("2001:db8::1")]
    #[case::new_documentation("3fff:fff:ffff::1")]
    #[case::six_to_four_loopback("2002:7f00:1::1")]
    #[case::six_to_four_public("2002:808:808::1")]
    #[case::segment_routing("5f00::1")]
    #[case::unique_local("fc00::1")]
    #[case::unique_local_metadata("fd00:ec2::254")]
    #[case::link_local("fe80::1")]
    #[case::site_local("fec0::1")]
    #[case::multicast("ff02::1")]
    fn refuses_v6(#[case] address: &str) {
        assert!(!public(address), "{address}");
    }

    proptest! {
        /// Nothing that the standard library knows to be special passes.
        #[test]
        fn agrees_with_the_standard_library(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_documentation() || address.is_multicast() || address.is_broadcast()
                || address.is_unspecified();
            prop_assert!(!(special && is_public(IpAddr::V4(address))));
        }

        /// However an IPv4 address is wrapped up, the answer is that of the address itself, or no.
        #[test]
        fn a_carried_address_gets_no_further_than_itself(bits in any::<u32>()) {
            let bare = is_public(IpAddr::V4(Ipv4Addr::from_bits(bits)));
            for (block, _) in CARRIERS {
                let carrier = Ipv6Addr::from_bits(block.to_bits() | u128::from(bits));
                prop_assert_eq!(is_public(IpAddr::V6(carrier)), bare);
            }
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            for wrapped in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
            ] {
                prop_assert!(!is_public(IpAddr::V6(wrapped)));
            }
        }

        /// No address outside of global unicast passes, but through a translator.
        #[test]
        fn v6_is_global_unicast_or_carries(bits in any::<u128>()) {
            let address = Ipv6Addr::from_bits(bits);
            if is_public(IpAddr::V6(address)) {
                prop_assert!(within_v6(address, &GLOBAL_UNICAST));
            }
        }
    }
}
