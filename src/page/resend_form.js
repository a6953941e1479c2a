{
  const [form, other] = document.querySelectorAll("form, form + p");
  const kept = JSON.parse(sessionStorage.getItem("vestibule-form"));
  if (kept && Date.now() - kept.at < 3600000 && /^\/(?![/\\])/.test(kept.to)) {
    form.action = kept.to;
    form.querySelector("code").textContent = kept.to;
    form.addEventListener("submit", () => sessionStorage.removeItem("vestibule-form"));
    form.hidden = false;
    // Fields can shadow the form's properties (DOM clobbering), so they are added last, at once.
    form.append(...kept.fields.map(([name, value]) => {
      const field = document.createElement("input");
      [field.type, field.name, field.value] = ["hidden", name, value];
      return field;
    }));
  } else {
    const text = document.getElementById("text");
    text.textContent = text.dataset.fallback;
    other.hidden = false;
  }
}
