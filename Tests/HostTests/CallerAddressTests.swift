import Testing

@testable import Host

@Suite struct CallerAddressTests {
    @Test(arguments: [
        // Nobody is trusted: the header is the caller's own word.
        (nil, "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.0/8", "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        // A trusted proxy's last entry is what it saw.
        ("10.0.0.0/8", "10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.0/8", "10.1.2.3", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        // A chain of trusted ones, in one header or several.
        ("10.0.0.0/8", "10.1.2.3", ["6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.0/8", "10.1.2.3", ["6.6.6.6, 198.51.100.1", "10.9.9.9"], "198.51.100.1"),
        ("10.0.0.0/8", "10.1.2.3", ["10.4.4.4, 10.9.9.9"], "10.4.4.4"),
        // What is no address is nobody's.
        ("10.0.0.0/8", "10.1.2.3", ["198.51.100.1, unknown"], "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3", [], "10.1.2.3"),
        // IPv6, and IPv4 inside it.
        ("fd00::/8, 10.1.2.3", "::ffff:10.1.2.3", ["2001:db8::7"], "2001:db8::7"),
        ("fd00::/8", "fd12::1", ["2001:db8::7, fdff::2"], "2001:db8::7"),
    ]) func findsWhoCalls(proxies: String?, peer: String, forwarded: [String], caller: String) throws {
        let callers = try CallerAddress(proxies: proxies)

        #expect(callers.find(peer: peer, forwarded: forwarded) == caller)
    }

    @Test(arguments: ["10.0.0.0/33", "10.0.0", "proxy.example.com", "fd00::/129", "10.0.0.0/8/8", "10.0.0.0/-1"])
    func refusesWhatIsNoAddress(text: String) {
        #expect(throws: AddressFault.self) { try CallerAddress(proxies: text) }
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.64.0.0/10", "10.127.0.1", true),
        ("10.64.0.0/10", "10.128.0.1", false), ("0.0.0.0/0", "8.8.8.8", true), ("0.0.0.0/0", "::1", false),
        ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.8", false),
    ]) func knowsWhatARangeHolds(range: String, address: String, isInside: Bool) throws {
        let range = try #require(AddressRange(range))
        let bytes = try #require(AddressRange.bytes(address))

        #expect(range.contains(bytes) == isInside)
    }
}
