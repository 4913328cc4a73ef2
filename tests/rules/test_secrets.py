"""SECRET: keys and credentials are found where they lie, nothing else is, and no message shows a whole secret."""

from __future__ import annotations

import base64
import json
import random
import struct

import numpy as np
import pytest

from rules import key_builder as keys
from rules.image_builder import DATA, FLASH, SYMBOLS, Firmware, constant, findings, ids, with_text
from tinymlsec.rules import _der, _known_keys
from tinymlsec.rules._known_keys import KnownKey, known_keys
from tinymlsec.rules.subjects import ImageFile
from tinymlsec.target.firmware import load_image, write_hex


def alphanumeric(size: int, seed: int = 1) -> str:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return "aB3" + "".join(random.Random(seed).choices(letters, k=size - 3))


def web_token() -> str:
    parts = (json.dumps(p).encode() for p in ({"alg": "HS256", "typ": "JWT"}, {"sub": "unit", "admin": True}))
    head = ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts)
    return f"{head}.{alphanumeric(43)}"


def storage_entry(value: bytes, key: bytes = b"sta.pswd") -> bytes:
    head = struct.pack("<BBBB", 1, 0x42, 1 + -(-len(value) // 32), 0) + bytes(4)
    room = -(-len(value) // 32) * 32
    return head + key.ljust(16, b"\0") + struct.pack("<HHI", len(value), 0xFFFF, 0) + value.ljust(room, b"\0")


def stored(content: bytes) -> Firmware:
    return Firmware(content=content)


KEY_BYTES = random.Random(9).randbytes(16)
CASES = {
    "rsa": ("SECRET-01", stored(keys.rsa_private()), 0),
    "ec": ("SECRET-01", stored(keys.ec_private()), 0),
    "ed25519": ("SECRET-01", stored(keys.ed25519_private()), 0),
    "pkcs8 rsa": ("SECRET-01", stored(keys.pkcs8(keys.rsa_private(), keys.RSA)), 0),
    "pkcs8 ec": ("SECRET-01", stored(keys.pkcs8(keys.ec_private(), keys.EC)), 0),
    "pem": ("SECRET-01", stored(b"\0\0\0" + keys.pem("RSA PRIVATE KEY", keys.rsa_private())), 3),
    "openssh": ("SECRET-01", stored(keys.pem("OPENSSH PRIVATE KEY", b"openssh-key-v1\0" + bytes(100))), 0),
    "aws": ("SECRET-03", with_text(b"id AKIA" + alphanumeric(16).upper().encode()), 4),
    "google": ("SECRET-03", with_text(f"AIza{alphanumeric(35)}".encode()), 1),
    "github": ("SECRET-03", with_text(f"ghp_{alphanumeric(36)}".encode()), 1),
    "slack": ("SECRET-03", with_text(f"xoxb-123456789012-{alphanumeric(24)}".encode()), 1),
    "azure": ("SECRET-03", with_text(f"HostName=a.b;SharedAccessKey={alphanumeric(43)}=".encode()), 14),
    "jwt": ("SECRET-03", with_text(web_token().encode()), 1),
    "address": ("SECRET-04", with_text(b"mqtt://unit:Zq8sharedpw@broker.example.net:1883"), 1),
    "assigned": ("SECRET-04", with_text(b'wifi_password = "Zq8sharedpw"'), 1),
    "default": ("SECRET-04", with_text(b"admin:admin"), 1),
    "basic": ("SECRET-04", with_text(b"Authorization: Basic " + base64.b64encode(b"unit:Zq8sharedpw")), 1),
    "psk": ("SECRET-04", with_text(b"psk=Zq8sharedpw"), 1),
    "hash": ("SECRET-04", with_text(f"root:$6$abcdefgh${alphanumeric(86)}:0:0".encode()), 6),
    "wifi": ("SECRET-05", stored(b"\xff" * 32 + storage_entry(b"correct horse")), 32),
    "named": ("SECRET-06", constant("g_aes_key", KEY_BYTES), 0),
    "expired": ("SECRET-07", stored(keys.certificate(b"210101000000Z")), 0),
}


@pytest.mark.parametrize("name", CASES)
def test_each_secret_gives_its_rule_alone_at_its_place(name: str) -> None:
    rule_id, firmware, at = CASES[name]
    found = findings(firmware.file())
    assert [f.id for f in found] == [rule_id], [(f.id, f.message) for f in found]
    assert found[0].location.address == DATA + at
    assert found[0].location.file_offset == firmware.offset(DATA + at)


@pytest.mark.parametrize("name", CASES)
def test_no_message_shows_a_secret(name: str) -> None:
    _, firmware, _ = CASES[name]
    for found in findings(firmware.file()):
        assert "sharedpw" not in found.message
        assert "correct horse" not in found.message
        assert alphanumeric(16)[3:] not in found.message
        assert KEY_BYTES.hex() not in found.message


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----",
        b"password: %s",
        b"Enter password: ",
        b"wrong password=incorrect",
        b'password = "<password>"',
        b"psk=xxxxxxxx",
        b"http://example.com:8080/path@version",
        b"AKIAAAAAAAAAAAAAAAAA",
        b"eyJub3QgSlNPTiBhdCBhbGw.eyJub3QgSlNPTiBhdCBhbGw.aaaaaaaaaaaaaaaaaaaaaaa",
        b"-----BEGIN CERTIFICATE-----",
        b"secret_key=null",
        b"admin:adminstrator",
        b"role:admin:root",
        b"Authorization: Basic realm",
    ],
)
def test_words_of_programs_are_no_secrets(text: bytes) -> None:
    assert ids(with_text(text).file()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("keyboard_table", KEY_BYTES), ("aes_key", bytes(range(16))), ("aes_key", bytes(16)),
        ("aes_key", b"0123456789abcdef"), ("aes_key_count", KEY_BYTES[:8]),
    ],
)  # fmt: skip
def test_named_constants_that_are_no_keys(name: str, content: bytes) -> None:
    assert ids(constant(name, content).file()) == []


def test_a_storage_partition_without_a_passphrase_is_silent() -> None:
    assert ids(stored(storage_entry(b"\xff" * 16)).file()) == []
    assert ids(stored(storage_entry(b"short")).file()) == []


def test_public_keys_and_valid_certificates_are_no_finding() -> None:
    content = keys.ec_public() + keys.rsa_public(2048) + keys.certificate(b"480101000000Z")
    assert ids(stored(content).file()) == []


class TestKnownKeys:
    def test_a_published_key_is_known_by_either_half(self, monkeypatch: pytest.MonkeyPatch) -> None:
        point = keys.ec_public()[-64:]
        identity = _der.identity(point)
        table = {identity: KnownKey("sample key of the test", "here")}
        monkeypatch.setattr(_known_keys, "known_keys", lambda: table)
        found = findings(stored(keys.ec_public()).file())
        assert [(f.id, f.location.address) for f in found] == [("SECRET-02", DATA)]
        assert "sample key of the test" in found[0].message

    def test_a_private_half_that_is_published_is_not_reported_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read = _der.read(keys.rsa_private(), 0)
        assert isinstance(read, _der.Key)
        monkeypatch.setattr(_known_keys, "known_keys", lambda: {read.identities[0]: KnownKey("sample", "here")})
        assert ids(stored(keys.rsa_private()).file()) == ["SECRET-02"]

    def test_the_table_holds_digests_only(self) -> None:
        table = known_keys()
        assert len(table) >= 60
        assert all(len(digest) == 64 and int(digest, 16) for digest in table)
        assert any("MCUboot" in key.name for key in table.values())
        assert any("Mbed TLS" in key.name for key in table.values())


class TestDer:
    def test_keys_are_told_apart_by_their_numbers(self) -> None:
        bare, wrapped = (_der.read(k, 0) for k in (keys.rsa_private(), keys.pkcs8(keys.rsa_private(), keys.RSA)))
        public = _der.read(keys.rsa_public(), 0)
        assert isinstance(bare, _der.Key)
        assert isinstance(wrapped, _der.Key)
        assert isinstance(public, _der.Key)
        assert bare.identities == wrapped.identities == public.identities
        assert (bare.kind, public.kind, bare.bits) == ("RSA private key", "RSA public key", 1024)

    def test_one_changed_byte_of_the_lengths_and_it_is_none(self) -> None:
        data = keys.rsa_private()
        for at in (1, 2, 3, 5, 6):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            assert _der.read(changed, 0) is None, at

    def test_numbers_that_do_not_multiply_are_no_key(self) -> None:
        data = bytearray(keys.rsa_private())
        data[40] ^= 4
        assert _der.read(bytes(data), 0) is None

    @pytest.mark.parametrize("make", [keys.rsa_private, keys.ec_private, keys.ed25519_private, keys.ec_public])
    def test_truncated_and_damaged_bytes_never_raise(self, make) -> None:  # type: ignore[no-untyped-def]
        data = make()
        rng = random.Random(4)
        for size in range(0, len(data), 3):
            list(_der.find(data[:size]))
        for _ in range(300):
            changed = bytearray(data)
            changed[rng.randrange(len(data))] = rng.randrange(256)
            list(_der.find(bytes(changed)))


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_hold_no_secret(seed: int) -> None:
    data = np.random.default_rng(seed).bytes(1 << 20)
    file = ImageFile("random", data, load_image(data, base=FLASH, machine="arm"))
    assert [i for i in ids(file) if i.startswith(("SECRET", "BUILD", "DUMP"))] == []


def test_in_a_hex_file_the_address_tells_the_place() -> None:
    image = load_image(Firmware(content=keys.ec_private()).elf()[0])
    data = write_hex(image)
    found = [f for f in findings(ImageFile("t.hex", data, load_image(data))) if f.id == "SECRET-01"]
    assert [(f.location.address, f.location.file_offset) for f in found] == [(DATA, None)]


def test_symbols_alone_are_no_secret() -> None:
    assert ids(Firmware(symbols=SYMBOLS).file()) == []
