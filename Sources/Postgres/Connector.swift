import CPostgres
import Logging

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Opens connections, each on a thread of its own: name resolution blocks inside libpq, and SCRAM and TLS cost
/// milliseconds of computing that would delay every answer on the poller's thread.
enum Connector {
    /// Connects within the configured time, ready for pipelined calls.
    ///
    /// - Throws: ``PostgresError/Kind/connection`` with the server's code where it sent one.
    static func connect(_ engine: Engine) throws(PostgresError) -> ConnectionPointer {
        guard let pointer = start(engine) else {
            throw PostgresError(.connection, "libpq is out of memory")
        }
        do throws(PostgresError) {
            // Verbose messages carry the code, for which libpq has no other way before a connection is open.
            PQsetErrorVerbosity(pointer, PQERRORS_VERBOSE)
            // A notice of the server is for whoever debugs a statement, not for standard error, libpq's default.
            PQsetNoticeProcessor(
                pointer,
                { context, text in
                    guard let context, let text else { return }
                    let engine = Unmanaged<Engine>.fromOpaque(context).takeUnretainedValue()
                    engine.logger.debug("PostgreSQL: \(String(cString: text).trimmed)")
                },
                // Outlives the connection: its link, which closes it, holds the engine.
                Unmanaged.passUnretained(engine).toOpaque()
            )
            try poll(pointer, until: Monotonic.after(engine.configuration.connectTimeout))
            PQsetErrorVerbosity(pointer, PQERRORS_DEFAULT)
            guard PQsetnonblocking(pointer, 1) == 0, PQenterPipelineMode(pointer) == 1 else {
                throw failure(pointer)
            }
        } catch {
            PQfinish(pointer)
            throw error
        }
        return ConnectionPointer(pointer: pointer)
    }

    private static func start(_ engine: Engine) -> OpaquePointer? {
        let configuration = engine.configuration
        // Those before the URL are defaults it may override; those after it are not to be overridden.
        let settings: [(String, String)] = [
            ("application_name", configuration.applicationName),
            ("keepalives_idle", "10"),
            ("keepalives_interval", "5"),
            ("keepalives_count", "3"),
            ("tcp_user_timeout", "15000"),
            ("dbname", configuration.url),
            ("client_encoding", "UTF8"),
        ]
        var keywords = settings.map { UnsafePointer(strdup($0.0)) }
        var values = settings.map { UnsafePointer(strdup($0.1)) }
        defer {
            for pointer in keywords + values { free(UnsafeMutablePointer(mutating: pointer)) }
        }
        keywords.append(nil)
        values.append(nil)
        return PQconnectStartParams(keywords, values, 1)
    }

    private static func poll(_ pointer: OpaquePointer, until deadline: Int64) throws(PostgresError) {
        guard PQstatus(pointer) != CONNECTION_BAD else { throw failure(pointer) }
        var awaited = Int16(POLLOUT)
        while true {
            let rest = (deadline - Monotonic.now()) / 1_000_000
            guard rest > 0 else { throw PostgresError(.connection, "the server did not answer in time") }
            // The descriptor may change between rounds, when libpq tries the next address.
            var descriptor = pollfd(fd: PQsocket(pointer), events: awaited, revents: 0)
            guard systemPoll(&descriptor, 1, Int32(clamping: rest)) > 0 else { continue }
            switch PQconnectPoll(pointer) {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING: awaited = Int16(POLLIN)
            case PGRES_POLLING_WRITING: awaited = Int16(POLLOUT)
            default: throw failure(pointer)
            }
        }
    }

    private static func failure(_ pointer: OpaquePointer) -> PostgresError {
        let text = PQerrorMessage(pointer).map { String(cString: $0).trimmed } ?? "cannot connect"
        return PostgresError(.connection, text, sqlState: sqlState(in: text))
    }

    /// The code in `… FATAL:  28P01: password authentication failed …`.
    static func sqlState(in message: String) -> String? {
        let bytes = Array(message.utf8)
        guard bytes.count > 8 else { return nil }
        let blank = UInt8(ascii: " ")
        let colon = UInt8(ascii: ":")
        for start in 3..<bytes.count - 5 {
            guard bytes[start - 3] == colon, bytes[start - 2] == blank, bytes[start - 1] == blank,
                bytes[start + 5] == colon
            else { continue }
            let code = bytes[start..<start + 5]
            let isCode = code.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            }
            if isCode { return String(decoding: code, as: UTF8.self) }
        }
        return nil
    }
}

/// `poll(2)`, whose name a method would hide.
func systemPoll(_ descriptors: UnsafeMutablePointer<pollfd>?, _ count: Int, _ milliseconds: Int32) -> Int32 {
    poll(descriptors, nfds_t(count), milliseconds)
}

/// Runs a blocking body once on a thread of its own.
///
/// Where the system refuses another thread the body is not run.
/// - Returns: Whether it will be run.
@discardableResult
func detachThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let context = Unmanaged.passRetained(Box(body))
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    #if canImport(Glibc)
        var thread = pthread_t()
        let status = pthread_create(&thread, &attributes, { start(context: $0) }, context.toOpaque())
        func start(context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
            guard let context else { return nil }
            Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
            return nil
        }
    #else
        var thread: pthread_t?
        let status = pthread_create(
            &thread,
            &attributes,
            { context in
                Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
                return nil
            },
            context.toOpaque()
        )
    #endif
    guard status == 0 else {
        context.release()
        return false
    }
    return true
}
