"""Tells tools that change something from tools that only read, and requests from questions. Pure.

A model without a model must not cancel an order because somebody asked how to cancel one. So a tool whose
name or description begins with a verb of change is called only if the question asks, in English or Chinese,
for a change of that kind. In doubt it is not called.
"""

import re
from collections.abc import Iterable

_KINDS = (
    "create open file submit raise register report log make start 创建 新建 提交 登记 注册 申请 报修 开 办理",
    "cancel delete remove close terminate revoke stop erase drop end 取消 删除 移除 关闭 终止 撤销 退订 注销",
    "book reserve schedule order place buy purchase arrange rent make 预订 预定 预约 订购 订 下单 购买 买",
    "send email notify message post publish forward share invite write call 发送 发 通知 邮件 发布 邀请",
    "pay charge transfer settle donate bill 支付 付款 付 转账 缴费",
    "refund return reimburse exchange replace 退款 退货 退 换货 换",
    "update change edit modify set correct move rename replace add assign adjust extend renew upgrade "
    "downgrade merge save insert upload record 更新 修改 更改 改 设置 添加 增加 延长 续费 升级 上传",
    "restart reset reboot rerun retry deploy trigger launch 重启 重置 部署 触发",
    "enable activate turn switch start unlock grant approve confirm accept subscribe issue 启用 激活 "
    "打开 开通 批准 确认 订阅",
    "disable deactivate turn switch block lock stop suspend pause reject deny unsubscribe escalate 禁用 停用 "
    "停止 锁定 拒绝",
)
_KINDS_OF: dict[str, frozenset[int]] = {
    verb: frozenset(number for number, verbs in enumerate(_KINDS) if verb in verbs.split())
    for verbs in _KINDS
    for verb in verbs.split()
}
_NOUNS = """
    open file report log start order place book schedule email message post share call charge transfer bill
    return exchange change set move record issue end drop rent turn switch lock block stop pause refund make
    update upgrade write upload close trigger launch deploy approve save reset
"""
_NOUNS_TOO = frozenset(_NOUNS.split())
"""Verbs that are nouns or adjectives as well: a word must follow that shows them to be verbs."""
_READING = """
    get list find look lookup search fetch read show check count convert calculate tell compute query describe
    retrieve view give work estimate track status history info details viewer finder
"""
_READS = frozenset(_READING.split())
_CHINESE = sorted((verb for verb in _KINDS_OF if not verb.isascii()), key=len, reverse=True)
_CHINESE_VERB = "|".join(_CHINESE)
_CHINESE_READS = re.compile(r"查询|查找|查看|计算|统计|获取|列出|搜索|显示")

_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LEADING = re.compile(
    r"(?:^|[.;!\n]\s*)(?:(?:use|call|lets?|allows?|this|an?|the)\b[^.;]{0,30}?"
    r"\b(?:to|you|that|which|(?:tool|api)(?= \w+s\b))\s+)?"
    r"([a-z]+)"
)

_SENTENCE = re.compile(r"[^.!?。！？\n]+(?:\.(?=\w)[^.!?。！？\n]*)*[.!?。！？\n]*")
_ASKING = re.compile(
    r"\s*(?:and |but |so )?(?:how|why|when|where|who|whom|whose|if|whether|is|are|was|were|does|do|did|has"
    r"|have|had|can i|can we|could i|could we|may|might|should|shall|must|what happens|what if|am)\b"
)
_CALLING = (
    r"(?:please|kindly|(?:can|could|would|will) you(?: please| kindly)?|(?:i|we)(?:'d| would) like"
    r" (?:you )?to|(?:i|we) (?:want|need|wish|have) (?:you )?to|let's|go ahead and|help me(?: to)?)"
)
_REQUEST = re.compile(rf"\b{_CALLING}(?: also| just| now| then)? ([a-z]+)\b(?!-)( \S+)?")
_IMPERATIVE = re.compile(r"(?:^|[,;:]\s*(?:and |then |and then )?|\b(?:and )?then )\s*([a-z]+)\b(?!-)( \S+)?")
_WISH = re.compile(
    r"\b(?:i|we)(?:'d| would) like (?:an?|my|the|another) "
    r"|\b(?:i|we) (?:want|need|request) (?:an?|my|another) "
)
_WISHED = {
    "refund": "refund",
    "cancellation": "cancel",
    "replacement": "replace",
    "reservation": "reserve",
    "booking": "book",
    "ticket": "open",
    "appointment": "book",
    "subscription": "subscribe",
}
_FOLLOWS_A_VERB = re.compile(
    r" (?:an?|the|my|our|your|his|her|their|me|us|it|this|that|these|those|them|him|all|everything|another"
    r"|some|one|two|three|up|on|off|out|down|for|to|\d+|[a-z]+-?\d+\S*)\b"
)
_CHINESE_REQUEST = re.compile(
    rf"(?:请|帮我|帮忙|麻烦|我要|我想|给我|替我)(?!问)[^。！？?]{{0,20}}?({_CHINESE_VERB})"
)
_CHINESE_IMPERATIVE = re.compile(rf"^\s*({_CHINESE_VERB})")
_CHINESE_ASKING = re.compile(r"怎么|如何|怎样|请问|是否|能不能|什么|为什么|多久|哪里")


def changes_of(name: str, description: str) -> frozenset[int]:
    """Return the kinds of change that a tool makes; none if it only reads."""
    parts = [part.lower() for part in _NAME_WORDS.findall(name)]
    leading = [lemma for word in _LEADING.findall(description.lower()) if (lemma := _lemma(word)) != "return"]
    if (leading and leading[0] in _READS) or (parts and parts[0] in _READS):
        return frozenset()
    verbs = [*leading, *(part for part in parts if part not in _NOUNS_TOO)]
    if not _READS & {*parts}:
        verbs += parts[:1]
    found = _kinds(verbs)
    if not _CHINESE_READS.match(description.strip()):
        found |= _kinds(re.findall(rf"^(?:{_CHINESE_VERB})", description.strip()))
    return found


def asks_for(question: str, kinds: frozenset[int]) -> bool:
    """Whether the question asks for a change of one of these kinds, and not just about it."""
    return bool(_kinds(_requested(question)) & kinds)


def _requested(question: str) -> Iterable[str]:
    """Yield the verbs of change that the question asks somebody to do."""
    for sentence in _SENTENCE.findall(question.lower().replace("’", "'")):
        for match in _REQUEST.finditer(sentence):
            yield from _verb(match)
        if wish := _WISH.search(sentence):
            yield from (verb for noun, verb in _WISHED.items() if noun in sentence[wish.end() :])
        if not _ASKING.match(sentence) and not sentence.rstrip().endswith("?"):
            for match in _IMPERATIVE.finditer(sentence):
                yield from _verb(match)
        if not _CHINESE_ASKING.search(sentence):
            yield from _CHINESE_REQUEST.findall(sentence)
            if not re.search(r"吗|[？?]", sentence):
                yield from _CHINESE_IMPERATIVE.findall(sentence)


def _verb(match: re.Match[str]) -> Iterable[str]:
    verb, following = match[1], match[2] or ""
    if verb not in _NOUNS_TOO or _FOLLOWS_A_VERB.match(following):
        yield verb


def _kinds(verbs: Iterable[str]) -> frozenset[int]:
    return frozenset().union(*(_KINDS_OF.get(verb, frozenset()) for verb in verbs))


def _lemma(word: str) -> str:
    """Return the verb without the ending of its third person."""
    if word in _KINDS_OF or word in _READS:
        return word
    for ending, verb in (("ies", f"{word[:-3]}y"), ("es", word[:-2]), ("s", word[:-1])):
        if word.endswith(ending) and (verb in _KINDS_OF or verb in _READS):
            return verb
    return word
