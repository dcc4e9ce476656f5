import NIOCore
import Testing

@testable import Redis

@Suite struct RESPEncoderTests {
    @Test(
        arguments: [
            (["PING"], "*1\r\n$4\r\nPING\r\n"),
            (["", "é"], "*2\r\n$0\r\n\r\n$2\r\né\r\n"),
            (
                [0, -1, 10, 9_223_372_036_854_775_807],
                "*4\r\n$1\r\n0\r\n$2\r\n-1\r\n$2\r\n10\r\n$19\r\n9223372036854775807\r\n"
            ),
            ([.integer(.min)], "*1\r\n$20\r\n-9223372036854775808\r\n"),
            ([.bytes([]), .bytes([65, 66])], "*2\r\n$0\r\n\r\n$2\r\nAB\r\n"),
            (
                Array(repeating: "0123456789", count: 10),
                "*10\r\n" + String(repeating: "$10\r\n0123456789\r\n", count: 10)
            ),
        ] as [([RedisArgument], String)]
    )
    func writesBulkStrings(_ command: [RedisArgument], _ wire: String) {
        var buffer = ByteBuffer(string: "before")

        buffer.writeCommand(command)

        #expect(String(buffer: buffer) == "before" + wire)
    }
}
