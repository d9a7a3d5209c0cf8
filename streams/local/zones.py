"""Time zones of places: IANA names, their cities, and other names that people use."""

import difflib
from collections.abc import Mapping
from importlib.resources import files
from zoneinfo import ZoneInfo

_ALSO = {
    "America/Chicago": "Houston, Dallas, 芝加哥, 休斯敦",
    "America/Los_Angeles": "San Francisco, Seattle, Silicon Valley, 洛杉矶, 旧金山, 西雅图, 硅谷",
    "America/New_York": "Boston, Washington, Miami, 纽约, 波士顿, 华盛顿",
    "America/Sao_Paulo": "São Paulo, Rio de Janeiro, 圣保罗",
    "America/Toronto": "Ottawa, Montreal, 多伦多",
    "America/Vancouver": "温哥华",
    "Asia/Bangkok": "曼谷",
    "Asia/Dubai": "Abu Dhabi, 迪拜",
    "Asia/Ho_Chi_Minh": "Hanoi, 河内, 胡志明市",
    "Asia/Hong_Kong": "香港",
    "Asia/Jakarta": "雅加达",
    "Asia/Kolkata": "India, Mumbai, Delhi, New Delhi, Bangalore, Bengaluru, Chennai, 印度, 孟买, 新德里",
    "Asia/Seoul": "Korea, South Korea, Busan, 首尔, 韩国",
    "Asia/Shanghai": (
        "China, Beijing, Hangzhou, Shenzhen, Guangzhou, Chengdu, Wuhan, Nanjing, Suzhou, "
        "中国, 北京, 上海, 杭州, 深圳, 广州, 成都, 武汉, 南京, 苏州, 西安, 重庆, 天津"
    ),
    "Asia/Singapore": "新加坡",
    "Asia/Taipei": "台北",
    "Asia/Tokyo": "Japan, Osaka, Kyoto, 日本, 东京, 大阪, 京都",
    "Australia/Sydney": "Canberra, 悉尼",
    "Europe/Amsterdam": "Rotterdam, The Hague, Netherlands, 阿姆斯特丹, 鹿特丹, 荷兰",
    "Europe/Berlin": "Germany, Munich, Hamburg, Frankfurt, Cologne, 柏林, 慕尼黑, 汉堡, 法兰克福, 德国",
    "Europe/London": "UK, England, Manchester, Edinburgh, 伦敦, 英国",
    "Europe/Madrid": "Spain, Barcelona, 马德里, 巴塞罗那",
    "Europe/Moscow": "莫斯科",
    "Europe/Paris": "France, Lyon, 巴黎, 法国",
    "Europe/Rome": "Italy, Milan, 罗马, 米兰",
    "Europe/Zurich": "Geneva, 苏黎世, 日内瓦",
}


class UnknownPlace(LookupError):  # noqa: N818 - the asker's mistake, in words for the asker
    """The time zone of a place is unknown; the message suggests similar names."""


def find_zone(place: str) -> ZoneInfo:
    """Return the time zone of an IANA name or a city, in any case, in English or Chinese.

    Raises:
        UnknownPlace: the zone is unknown.
    """
    zone = _NAMES.get(_folded(place)) or _NAMES.get(_folded(place).removesuffix("市"))
    if zone is None:
        near = difflib.get_close_matches(_folded(place), _NAMES, n=3, cutoff=0.6)
        meant = ", ".join(dict.fromkeys(_NAMES[name] for name in near)) or "Asia/Tokyo, Europe/Berlin"
        raise UnknownPlace(f"no time zone is known for {place[:60]!r}; names look like these: {meant}")
    return ZoneInfo(zone)


def known_places() -> Mapping[str, str]:
    """Return every name that `find_zone` knows, case-folded, with its IANA zone."""
    return _NAMES


def _folded(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _names() -> dict[str, str]:
    zones = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    names = {_folded(zone.rpartition("/")[2]): zone for zone in zones if zone.count("/") == 1}
    names |= {_folded(zone): zone for zone in zones}
    return names | {_folded(name): zone for zone, also in _ALSO.items() for name in also.split(",")}


# Made when the module is imported, not at the first question, because it reads a file.
_NAMES = _names()
