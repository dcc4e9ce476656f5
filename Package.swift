// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// A floor of the product under Sources/, or of its host under runner/; tests mirror both under Tests/.
func floor(
    _ name: String,
    in folder: String = "Sources",
    _ dependencies: [Target.Dependency] = [],
    embedding resources: String? = nil
) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: "\(folder)/\(name)",
        resources: resources.map { [.embedInCode($0)] } ?? [],
        swiftSettings: settings
    )
}

func tests(of name: String, _ dependencies: [Target.Dependency] = [], besides: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests",
        dependencies: [.target(name: name), "TestSupport"] + dependencies,
        path: "Tests/\(name)Tests",
        exclude: besides,
        swiftSettings: settings
    )
}

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
    name: "delightchat",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "runner", targets: ["runner"])],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CPostgres",
            path: "Sources/CPostgres",
            pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"]), .brew(["libpq"])]
        ),
        .systemLibrary(
            name: "CHiredis",
            path: "Sources/CHiredis",
            providers: [.apt(["libhiredis-dev"]), .brew(["hiredis"])]
        ),
        .systemLibrary(
            name: "COpenSSL",
            path: "Sources/COpenSSL",
            pkgConfig: "libcrypto",
            providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]
        ),
        floor("Postgres", ["CPostgres", logging]),
        floor("Redis", ["CHiredis", nio, nioPosix, nioSSL, logging]),
        floor("Security", ["COpenSSL"]),
        floor("Mail", [nio, nioPosix, nioTLS, nioSSL]),
        floor("Cron"),
        floor("Queue", ["Redis", "Security", "Cron", logging], embedding: "Scripts"),
        floor("Schema", ["Postgres", "Security", logging], embedding: "Migrations"),
        floor("JSON"),
        floor("Functions", ["JSON", "Postgres", "Redis", "Queue", "Security", logging]),
        floor(
            "Egress",
            [
                nio, nioPosix, logging, .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ]
        ),
        floor("Connectors", ["Egress", "JSON", "Security", logging]),
        floor(
            "Storage",
            [
                "Security", nio, nioPosix, .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ]
        ),
        floor(
            "Helpdesk",
            [
                "Functions", "Connectors", "Egress", "Storage", "Schema", "Mail", "Postgres", "Redis", "Queue",
                "Security",
                logging,
            ]
        ),
        floor("Manifest", in: "runner", ["Cron", "Yams"]),
        floor(
            "Host",
            in: "runner",
            [
                "Manifest", "Functions", "Queue", "Cron", "Postgres", "Redis", "Security", "Schema", logging, nio,
                nioPosix, lifecycle, .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
            ]
        ),
        floor(
            "Dashboard",
            in: "runner",
            ["Postgres", logging, nio, .product(name: "Hummingbird", package: "hummingbird")]
        ),
        floor(
            "Simulate",
            in: "runner",
            [
                "Functions", "Security", logging, nio, .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ]
        ),
        floor(
            "Gateway",
            in: "runner",
            [
                "Host", "Manifest", "Functions", logging, nio, nioPosix, lifecycle,
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]
        ),
        floor("Fleet", in: "runner"),
        floor("Deploy", in: "runner", ["Manifest"]),
        .executableTarget(
            name: "runner",
            dependencies: [
                "Fleet", "Gateway", "Dashboard", "Deploy", "Host", "Simulate", "Helpdesk", "Manifest", "Functions",
                "Schema",
                "Queue",
                "Postgres",
                "Redis",
                "Security", "Cron", logging, nio, nioPosix, .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ],
            path: "runner/Command",
            swiftSettings: settings,
            linkerSettings: [
                // With lld and a static Swift library an idle host has a sixth less of the executable in memory than with gold's.
                .unsafeFlags(["-use-ld=lld"]),
                .unsafeFlags(
                    ["-Xlinker", "--icf=safe", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs"],
                    .when(configuration: .release)
                ),
            ]
        ),
        floor("TestSupport", in: "Tests", ["Postgres", "Schema", logging]),
        tests(of: "Postgres", [logging]),
        tests(of: "Redis", [logging, nio, nioPosix]),
        tests(of: "Security"),
        tests(of: "Mail", [nio, nioPosix], besides: ["Peers"]),
        tests(of: "Cron"),
        tests(of: "Egress", [logging]),
        tests(of: "Storage", ["Security"], besides: ["Peers"]),
        tests(of: "Queue", ["Redis", "Cron", "Security", logging], besides: ["Peers"]),
        tests(of: "Fleet"),
        tests(of: "Deploy", ["Manifest"], besides: ["Peers"]),
        tests(of: "Dashboard", ["Postgres"]),
        tests(of: "Schema", ["Postgres", logging]),
        tests(of: "Connectors", ["Egress", "Security", logging]),
        tests(of: "Manifest"),
        tests(
            of: "Host",
            [
                "Manifest", "Functions", "Queue", "Postgres", "Redis", "Security", logging,
                .product(name: "Hummingbird", package: "hummingbird"),
            ]
        ),
        tests(
            of: "Gateway",
            [
                "Host", "Manifest", "Functions", logging, nio, nioPosix,
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]
        ),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "TestSupport", "Postgres", "Security", logging, "Manifest", "Functions", "Helpdesk", "runner",
            ],
            path: "Tests/EndToEndTests",
            exclude: ["Peers"],
            swiftSettings: settings
        ),
        tests(
            of: "Helpdesk",
            ["Connectors", "Egress", "Functions", "Mail", "Postgres", "Redis", "Queue", "Security", logging]
        ),
    ]
)
