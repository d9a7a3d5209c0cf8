"""The sources of settings, and the one line about a wrong one."""

import ast
from pathlib import Path

import pytest

import streams.settings.model
from agents.http.addresses import Env
from streams.settings.errors import SettingsError
from streams.settings.model import Settings
from streams.settings.reader import DEFAULT, load_settings


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "kotae.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def refusal(path: Path | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environ)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


class TestSources:
    def test_without_any_source_every_setting_has_its_default(self) -> None:
        loaded = load_settings(None, {"PATH": "/bin", "KOTAE_TEST_KAFKA": "x"})
        assert loaded.settings == Settings()
        assert set(loaded.sources.values()) == {DEFAULT}

    def test_environment_counts_before_file_before_default(self, toml) -> None:
        path = toml('[kafka]\npartitions = 12\ntopic_prefix = "qa."\n')
        loaded = load_settings(path, {"KOTAE_KAFKA__PARTITIONS": "24"})
        assert loaded.settings.kafka.partitions == 24
        assert loaded.settings.kafka.topic_prefix == "qa."
        assert loaded.settings.kafka.bootstrap_servers == Settings().kafka.bootstrap_servers
        assert loaded.sources["kafka.partitions"] == "environment variable KOTAE_KAFKA__PARTITIONS"
        assert loaded.sources["kafka.topic_prefix"] == f"{path} [kafka] 'topic_prefix'"

    def test_the_environment_may_name_the_file(self, toml) -> None:
        path = toml("[worker]\nprocesses = 2\n")
        assert load_settings(None, {"KOTAE_CONFIG": str(path)}).settings.worker.processes == 2

    def test_the_config_option_counts_before_the_environment(self, toml) -> None:
        loaded = load_settings(toml("[worker]\nprocesses = 2\n"), {"KOTAE_CONFIG": "/nowhere.toml"})
        assert loaded.settings.worker.processes == 2

    def test_a_file_may_begin_with_a_byte_order_mark(self, toml) -> None:
        assert load_settings(toml("\ufeff[worker]\nprocesses = 2\n"), {}).settings.worker.processes == 2

    def test_the_process_environment_is_read_by_default(self, monkeypatch) -> None:
        monkeypatch.setenv("KOTAE_LIMITS__TOOL_S", "1.5")
        assert load_settings().settings.limits.tool_s == 1.5

    def test_lists_are_comma_separated_in_the_environment(self, toml) -> None:
        environ = {"KOTAE_KAFKA__REPLY_TOPICS": " a, b ,,"}
        assert load_settings(None, environ).settings.kafka.reply_topics == ("a", "b")
        path = toml('[kafka]\nreply_topics = ["c"]\n')
        assert load_settings(path, {}).settings.kafka.reply_topics == ("c",)
        assert load_settings(path, {"KOTAE_KAFKA__REPLY_TOPICS": ""}).settings.kafka.reply_topics == ()

    def test_objects_are_json_in_the_environment_and_json_or_a_table_in_the_file(self, toml) -> None:
        environ = {
            "KOTAE_MODEL__PARAMETERS": '{"max_tokens": null, "seed": 7}',
            "KOTAE_MODEL__HEADERS": '{"api-key": {"env": "K"}, "X-A": "b"}',
        }
        model = load_settings(None, environ).settings.model
        assert model.parameters == {"max_tokens": None, "seed": 7}
        assert model.headers == {"api-key": Env("K"), "X-A": "b"}
        path = toml("[model]\nheaders = {X-A = 'b'}\nparameters = '{\"seed\": null}'\n")
        model = load_settings(path, {}).settings.model
        assert (model.headers, model.parameters) == ({"X-A": "b"}, {"seed": None})
        path = toml("[model.fallback_parameters]\nseed = 7\n")
        assert load_settings(path, {}).settings.model.fallback_parameters == {"seed": 7}
        assert load_settings(path, {"KOTAE_MODEL__PARAMETERS": ""}).settings.model.parameters == {}

    def test_seconds_may_be_whole_numbers(self, toml) -> None:
        assert load_settings(toml("[limits]\nplan_s = 2\n"), {}).settings.limits.plan_s == 2.0

    def test_tools_are_kept_as_the_raw_table(self, toml) -> None:
        path = toml('[tools.weather]\nurl = "http://x"\nheaders = {Authorization = {env = "KEY"}}\n')
        loaded = load_settings(path, {"KEY": "sk-4711"})
        assert loaded.settings.tools == {
            "weather": {"url": "http://x", "headers": {"Authorization": {"env": "KEY"}}}
        }
        assert loaded.sources["tools.weather"] == str(path)
        assert loaded.environ["KEY"] == "sk-4711"
        assert "sk-4711" not in repr(loaded)


class TestRefusals:
    @pytest.mark.parametrize(
        ("variable", "value", "allowed"),
        [
            ("KAFKA__PARTITIONS", "many", "a whole number of at least 1, not 'many'"),
            ("KAFKA__PARTITIONS", "0", "a whole number of at least 1, not '0'"),
            ("KAFKA__PARTITIONS", "", "a whole number of at least 1, not ''"),
            ("KAFKA__PARTITIONS", "1.5", "a whole number of at least 1"),
            ("WORKER__HTTP_PORT", "70000", "of at least 0 and of at most 65535"),
            ("LIMITS__DEADLINE_S", "0", "a number above 0, not '0'"),
            ("LIMITS__DEADLINE_S", "nan", "a number above 0"),
            ("LIMITS__DEADLINE_S", "inf", "a number above 0"),
            ("MODEL__TEMPERATURE", "3", "a number of at least 0 and of at most 2"),
            ("KAFKA__SECURITY_PROTOCOL", "TLS", "one of PLAINTEXT, SASL_PLAINTEXT, SASL_SSL, SSL, not 'TLS'"),
            ("KAFKA__TOPIC_PREFIX", "a b", "text of 0 to 100 characters that matches"),
            ("KAFKA__REPLY_TOPICS", "a,b c", "a list, each item text of 0 to 249 characters that matches"),
            ("KAFKA__OAUTH_EXTENSIONS", "a", "a list, each item text that matches ^[A-Za-z]+=.+$, not 'a'"),
            ("WORKER__GROUP_ID", "", "text of 1 to 200 characters"),
            ("KAFKA__BOOTSTRAP_SERVERS", "kafka", "host:port"),
            ("KAFKA__BOOTSTRAP_SERVERS", "", "host:port"),
            ("KAFKA__BOOTSTRAP_SERVERS", "a:9092, b:9092", "host:port"),
            ("MODEL__BASE_URL", "localhost:8000/v1", "http://"),
            ("MODEL__BASE_URL", "ftp://x", "http://"),
            ("EMBEDDINGS__BASE_URL", "http://", "http://"),
            ("KNOWLEDGE__QDRANT_URL", "http://x:99999", "http://"),
            (
                "EGRESS__ALLOW",
                "erp.internal:443,erp.internal",
                "a list of host:port, such as erp.internal:443",
            ),
            ("CACHE__REDIS_URL", "127.0.0.1:6379", "redis://"),
            ("CACHE__TTL_S", "86400", "of at most 36000"),
        ],
    )
    def test_a_wrong_value_in_the_environment_is_reported_with_the_allowed_ones(
        self, variable: str, value: str, allowed: str
    ) -> None:
        message = refusal(**{f"KOTAE_{variable}": value})
        assert message.startswith(
            f"environment variable KOTAE_{variable}: {variable.lower().replace('__', '.')} "
        )
        assert allowed in message

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("[kafka]\npartitions = '6'\n", "kafka.partitions must be a whole number of at least 1, not '6'"),
            ("[kafka]\nreply_topics = 'a'\n", "kafka.reply_topics must be a list"),
            ("[worker]\ngrace_s = inf\n", "worker.grace_s must be a number above 0"),
            ("[worker]\ngrace = 1\n", "[worker] 'grace': there is no such setting; did you mean grace_s?"),
            ("[kafak]\npartitions = 6\n", "there is no section 'kafak'; did you mean kafka?"),
            ("[zzz]\n", "there is no section 'zzz'; allowed: kafka, worker"),
            ("kafka = 1\n", "kafka must be a table: [kafka]"),
            ("[tools]\nweather = 1\n", "[tools] 'weather': must be a table: [tools.NAME]"),
            ("tools = 1\n", "tools must be a table: [tools]"),
            ("[kafka\n", "not a TOML file"),
            ("[model]\nbase_url = 'x'\n", "model.base_url must be an address"),
        ],
    )
    def test_a_wrong_file_is_reported_with_its_place(self, toml, text: str, says: str) -> None:
        path = toml(text)
        message = refusal(path)
        assert message.startswith(str(path))
        assert says in message

    def test_an_unknown_variable_is_refused_with_a_suggestion(self) -> None:
        assert "did you mean KOTAE_MODEL__BASE_URL?" in refusal(KOTAE_MODEL__BASE_ULR="http://x")
        assert "KOTAE_LIMITS__DEADLINE_S" in refusal(KOTAE_LIMIT__DEADLINE_S="6")
        assert "[tools.NAME]" in refusal(KOTAE_TOOLS__WEATHER="x")
        strange = refusal(KOTAE_FOO__BAR="1")
        assert "allowed: KOTAE_KAFKA__…" in strange
        assert len(strange) < 400

    def test_variables_that_kubernetes_sets_are_ignored(self) -> None:
        environ = {
            "KOTAE_SERVICE_HOST": "10.0.0.1",
            "KOTAE_SERVICE_PORT_HTTP": "80",
            "KOTAE_WORKER_PORT": "tcp://10.0.0.1:9464",
            "KOTAE_WORKER_PORT_9464_TCP_ADDR": "10.0.0.1",
            "KOTAE_PORT_9464_TCP": "tcp://10.0.0.1:9464",
            "KOTAE_VERSION": "0.1.0",
        }
        loaded = load_settings(None, environ)
        assert (loaded.settings, loaded.warnings) == (Settings(), ())
        assert "no such setting" in refusal(KOTAE_WORKER__PORT="9464")

    @pytest.mark.parametrize(
        ("variable", "meant"),
        [
            ("KOTAE_MODEL_BASE_URL", "KOTAE_MODEL__BASE_URL"),
            ("KOTAE_KAFKA_PARTITIONS", "KOTAE_KAFKA__PARTITIONS"),
            ("KOTAE_WORKER_HTTP_PORT", "KOTAE_WORKER__HTTP_PORT"),
        ],
    )
    def test_a_single_underscore_in_place_of_two_is_a_warning_without_the_value(
        self, variable: str, meant: str
    ) -> None:
        loaded = load_settings(None, {variable: "tcp://10.0.0.1:80"})
        assert loaded.settings == Settings()
        (warning,) = loaded.warnings
        assert f"environment variable {variable} is not read: {meant}, with two" in warning
        assert "10.0.0.1" not in warning

    def test_a_missing_file_is_reported_with_the_option_that_named_it(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing.toml"
        assert refusal(missing) == (
            f"{missing}: No such file or directory; --config must name a readable TOML file"
        )
        assert "KOTAE_CONFIG must name" in refusal(KOTAE_CONFIG=str(tmp_path))
        (tmp_path / "binary.toml").write_bytes(b"\xff")
        assert "not a TOML file" in refusal(tmp_path / "binary.toml")

    def test_two_embedding_models_are_refused(self) -> None:
        message = refusal(
            KOTAE_EMBEDDINGS__LOCAL="builtin", KOTAE_EMBEDDINGS__BASE_URL="http://embeddings:8000/v1"
        )
        assert "KOTAE_EMBEDDINGS__LOCAL" in message
        assert "empty while embeddings.base_url is set" in message

    def test_a_port_too_high_for_all_processes_is_refused(self) -> None:
        message = refusal(KOTAE_WORKER__HTTP_PORT="65535", KOTAE_WORKER__PROCESSES="2")
        assert "at most 65534" in message
        load_settings(None, {"KOTAE_WORKER__HTTP_PORT": "0", "KOTAE_WORKER__PROCESSES": "2"})

    @pytest.mark.parametrize(
        ("url", "key"),
        [
            ("MODEL__BASE_URL", "MODEL__API_KEY"),
            ("MODEL__FALLBACK_BASE_URL", "MODEL__FALLBACK_API_KEY"),
            ("EMBEDDINGS__BASE_URL", "EMBEDDINGS__API_KEY"),
        ],
    )
    def test_a_user_and_a_key_are_not_sent_together(self, url: str, key: str) -> None:
        given = {f"KOTAE_{url}": "https://me:hunter2@x/v1", f"KOTAE_{key}": "sk-1"}
        setting, key_setting = (name.lower().replace("__", ".") for name in (url, key))
        assert refusal(**given) == (
            f"environment variable KOTAE_{url}: {setting} must be an address without user and password "
            f"while {key_setting} is set (Authorization holds one login), not 'https://***@x/v1'"
        )
        load_settings(None, {f"KOTAE_{url}": given[f"KOTAE_{url}"]})

    @pytest.mark.parametrize("key", [key for key in load_settings(None, {}).sources if key.endswith("_url")])
    def test_every_address_is_checked(self, key: str) -> None:
        variable = f"KOTAE_{key.replace('.', '__').upper()}"
        assert f"{key} must be an address such as " in refusal(**{variable: "nonsense"})

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("MODEL__PARAMETERS", "max_tokens=1"),
            ("MODEL__PARAMETERS", "[1]"),
            ("MODEL__HEADERS", '{"api-key": {"environment": "K"}}'),
            ("MODEL__FALLBACK_HEADERS", '{"api-key": 7}'),
        ],
    )
    def test_an_object_that_is_none_is_refused_without_its_value(self, variable: str, value: str) -> None:
        message = refusal(**{f"KOTAE_{variable}": value})
        key = variable.lower().replace("__", ".")
        assert message.startswith(f"environment variable KOTAE_{variable}: {key} must be a JSON object of ")
        assert value not in message

    def test_a_user_in_the_qdrant_url_is_refused(self) -> None:
        message = refusal(KOTAE_KNOWLEDGE__QDRANT_URL="https://me:hunter2@x:6333")
        assert "knowledge.qdrant_api_key" in message
        assert "hunter2" not in message

    def test_an_error_does_not_repeat_a_secret(self, toml) -> None:
        assert "hunter2" not in refusal(toml('[model]\napi_key = ["hunter2"]\n'))
        assert "hunter2" not in refusal(KOTAE_MODEL__BASE_URL="ftp://me:hunter2@x")
        assert "hunter2" not in refusal(KOTAE_MODEL__BASE_URL="https://me:hunter2@x:99999")


@pytest.mark.parametrize("value", ["kafka:9092", "a:1,b:2", "[::1]:9092", "10.0.0.1:9092"])
def test_bootstrap_servers_are_host_and_port(value: str) -> None:
    loaded = load_settings(None, {"KOTAE_KAFKA__BOOTSTRAP_SERVERS": value})
    assert loaded.settings.kafka.bootstrap_servers == value


def test_every_setting_is_documented() -> None:
    module = ast.parse(Path(streams.settings.model.__file__).read_text("utf-8"))
    undocumented = []
    for section in [
        node for node in module.body if isinstance(node, ast.ClassDef) and node.name != "Settings"
    ]:
        for statement, after in zip(section.body, [*section.body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign) and not (
                isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            ):
                undocumented.append(f"{section.name}.{ast.unparse(statement.target)}")
    assert undocumented == []
