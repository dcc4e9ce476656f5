import Testing

@testable import Redis

@Suite struct RedisConfigurationTests {
    struct Address: Sendable {
        let url: String
        let endpoint: RedisConfiguration.Endpoint
        var user: String?
        var password: String?
        var database = 0
    }

    @Test(arguments: [
        Address(url: "redis://127.0.0.1", endpoint: .tcp(host: "127.0.0.1", port: 6379)),
        Address(url: "redis://", endpoint: .tcp(host: "127.0.0.1", port: 6379)),
        Address(url: "REDIS://cache:7000/", endpoint: .tcp(host: "cache", port: 7000)),
        Address(url: "redis://cache:7000/3", endpoint: .tcp(host: "cache", port: 7000), database: 3),
        Address(url: "redis://cache?db=4", endpoint: .tcp(host: "cache", port: 6379), database: 4),
        Address(url: "redis://[::1]:7000/1", endpoint: .tcp(host: "::1", port: 7000), database: 1),
        Address(url: "redis://[::1]", endpoint: .tcp(host: "::1", port: 6379)),
        Address(url: "redis://:secret@h", endpoint: .tcp(host: "h", port: 6379), password: "secret"),
        Address(url: "redis://me:secret@h", endpoint: .tcp(host: "h", port: 6379), user: "me", password: "secret"),
        Address(url: "redis://:a@b:c@h:1", endpoint: .tcp(host: "h", port: 1), password: "a@b:c"),
        Address(
            url: "redis://m%40e:%2F%3A%25%C3%A9@h:1/2",
            endpoint: .tcp(host: "h", port: 1),
            user: "m@e",
            password: "/:%é",
            database: 2
        ),
        Address(url: "unix:///run/redis%20a.sock?db=5", endpoint: .unix(path: "/run/redis a.sock"), database: 5),
        Address(url: "unix://:secret@/run/r", endpoint: .unix(path: "/run/r"), password: "secret"),
    ])
    func reads(_ address: Address) throws {
        let configuration = try RedisConfiguration(url: address.url)

        #expect(configuration.endpoint == address.endpoint)
        #expect(configuration.user == address.user)
        #expect(configuration.password == address.password)
        #expect(configuration.database == address.database)
    }

    @Test(arguments: [
        ("localhost:6379", "the address must start with redis://, rediss:// or unix://"),
        ("redis://h?cafile=/ca.pem", "cafile means something with rediss:// only"),
        ("http://h", "the scheme http:// is not known; use redis://, rediss:// or unix://"),
        ("redis://h:port", "the port is not a number from 1 to 65535"),
        ("redis://h:70000", "the port is not a number from 1 to 65535"),
        ("redis://[::1", "the IPv6 address has no closing ]"),
        ("redis://[::1]x", "text follows the ] of the host"),
        ("redis://me@h", "the address names a user but no password"),
        ("redis://:100%@h", "a % in the address is not followed by two hexadecimal digits (write %25)"),
        ("redis://:%FF@h", "the address is not valid UTF-8 once decoded"),
        ("redis://h/one", "the database is not a number from 0"),
        ("redis://h/-1", "the database is not a number from 0"),
        ("redis://h?bd=1", "the only parameters known are db and cafile"),
        ("unix://run/redis", "a unix:// address needs an absolute path: unix:///run/redis.sock"),
        ("unix:///" + String(repeating: "a", count: 107), "the socket's path is longer than 107 bytes"),
    ])
    func refuses(_ url: String, because message: String) {
        #expect(throws: RedisError(kind: .configuration, message: message)) { try RedisConfiguration(url: url) }
    }

    @Test func namesACertificateFileThatCannotBeRead() {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: "rediss://h?cafile=/nowhere.pem") }

        #expect(error?.message.contains("/nowhere.pem") == true)
    }

    @Test func encryptsByRediss() throws {
        let configuration = try RedisConfiguration(url: "rediss://cache:7000/3")

        #expect(configuration.endpoint == .tcp(host: "cache", port: 7000))
        #expect(configuration.tls != nil)
        #expect(configuration.address == "rediss://cache:7000/3")
        #expect(try RedisConfiguration(url: "redis://cache").tls == nil)
    }

    @Test func showsNoPassword() throws {
        let configuration = try RedisConfiguration(url: "redis://me:secret@[::1]:1/2")

        #expect(configuration.address == "redis://[::1]:1/2")
    }
}
